"""What goes wrong when weights are fetched from the Hugging Face hub, and whose mistake it is."""

from meta_core.errors import DownloadFailed, InvalidParameter, MetaError


def not_fetched(error: Exception, what: str, otherwise: str) -> MetaError:
    """`InvalidParameter` where the hub has no such thing or is not to be asked, `DownloadFailed` where it fails."""
    from huggingface_hub import constants  # noqa: PLC0415 – in an extra
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError  # noqa: PLC0415

    reason = str(error).strip().splitlines()[0]
    detail = f"{what} cannot be had from the hub, and is {otherwise}: {reason}"
    missing = isinstance(error, GatedRepoError | RepositoryNotFoundError | RevisionNotFoundError)
    if missing or constants.HF_HUB_OFFLINE:
        return InvalidParameter(detail, "revision")
    return DownloadFailed(detail)
