"""The spoken digits as a dataset of recordings: <folder>/spoken_digits/<speaker>/<digit>/<index>.wav.

python -m benchmarks.spoken_digits FOLDER
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.record import SHARED_DATA


def main() -> None:
    """Write the files."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    write_recordings(arguments.parse_args().folder)


def write_recordings(folder: Path) -> None:
    """1,500 recordings of three speakers as WAV files."""
    archive = np.load(SHARED_DATA / "spoken_digits" / "fsdd_shared.npz", allow_pickle=False)
    pcm = np.cumsum(archive["delta"], dtype=np.int16)
    end = np.cumsum(archive["length"])
    speakers = archive["speaker_names"][archive["speaker"]]
    clips = zip(end - archive["length"], end, speakers, archive["digit"], archive["index"], strict=True)
    for start, stop, speaker, digit, index in clips:
        path = folder / "spoken_digits" / str(speaker) / str(digit) / f"{index}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, pcm[start:stop], int(archive["sample_rate"].item()))


if __name__ == "__main__":
    main()
