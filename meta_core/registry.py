"""Names for the interchangeable parts: learners, backbones, modalities, datasets."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Generic, TypeVar

from meta_core.errors import NotFound

T = TypeVar("T", bound=type[Any])


class Registry(Generic[T]):
    """A dictionary of classes that fills itself from the modules of one package.

    A class put under a name by `register` is found by `registry[name]`; importing happens on first use,
    so a new part is one new file.
    """

    def __init__(self, what: str, package: str) -> None:
        self.what = what
        self._package = package
        self._classes: dict[str, T] = {}
        self._imported = False

    def register(self, name: str) -> Callable[[T], T]:
        """Class decorator: makes the class known as `name`."""

        def add(cls: T) -> T:
            cls.name = name
            self._classes[name] = cls
            return cls

        return add

    def __getitem__(self, name: str) -> T:
        """The class of that name. Raises `NotFound`, which lists the known names."""
        self._import_all()
        try:
            return self._classes[name]
        except KeyError:
            raise NotFound.among(self.what, name, self._classes) from None

    def __iter__(self) -> Iterator[str]:
        self._import_all()
        return iter(sorted(self._classes))

    def __contains__(self, name: object) -> bool:
        self._import_all()
        return name in self._classes

    def _import_all(self) -> None:
        if self._imported:
            return
        package: ModuleType = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        self._imported = True
