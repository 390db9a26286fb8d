"""Groups the files that were read in one unit into books. Writes nothing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..candidates import identity_of
from ..files import PathMap
from ..model import BookRow, ParsedFile, folded
from ..sources import is_embedded
from ..store.library import Neighbour
from .grouping import album_parts, name_of_parts, organized_path, part_keys, sort_stem, telling_title
from .import_units import ImportUnit, as_supplement
from .known import KnownLibrary
from .new_book import NewBook, NewFile
from .walk import FoundFile


@dataclass(frozen=True, slots=True)
class SharedFolder:
    """A folder that does not stand for one book.

    `place` has its path. Of its audiobook files, by name: `titles` are what they say that they are part of,
    `parts` the books that numbered ones make, `tracks` the albums. `present` are the paths of the books that
    are there, by title and author. `is_free`: the folder may become the book of parts that have no name.
    """

    place: BookRow
    titles: Mapping[str, str | None]
    parts: Mapping[str, str]
    tracks: Mapping[str, str]
    present: Mapping[tuple[str, str], str]
    is_free: bool

    def book_path(self, file: NewFile) -> str:
        name, row = file.found.name, file.row(self.place.library_id)
        title, author, series = identity_of(file.reading, row, self.place, root_level=True)
        for key in self._keys(name, title, author):
            if key in self.present:
                return self.present[key]
        told = self._title_of_book(name, title)
        if not told and self.is_free:
            return self.place.path
        return organized_path(
            self.place.path, told or self.parts.get(name, title), author, series, row.file_type
        )

    def _keys(self, name: str, title: str, author: str | None) -> Iterator[tuple[str, str]]:
        """Yield what a book that is there may be called to which a file belongs."""
        if name in self.parts:
            yield _key(self.parts[name], None)
        if name in self.tracks:
            yield _key(self.tracks[name], author)
        if name not in self.parts and name not in self.tracks:
            yield _key(title, author)

    def _title_of_book(self, name: str, title: str) -> str:
        """Return what a file says that its book is called; empty where it only counts."""
        if name in self.tracks:
            return self.tracks[name]
        return name_of_parts(self.parts[name], self.titles[name]) if name in self.parts else title


@dataclass(frozen=True, slots=True)
class BookFinder:
    """Finds the books of a unit."""

    known: KnownLibrary
    path_map: PathMap

    def books(self, unit: ImportUnit, files: Sequence[NewFile]) -> Iterator[NewBook]:
        """Yield the books that a unit's readable files make; each is to be imported before the next."""
        if not unit.is_split:
            yield from self._folder_book(unit, files)
            return
        shared = self._shared_folder(unit, files)
        groups: dict[str, list[NewFile]] = {}
        for file in files:
            groups.setdefault(shared.book_path(file), []).append(file)
        if set(groups) == {shared.place.path}:
            yield from self._folder_book(unit, files)
            return
        for book_path, members in groups.items():
            ordered = _in_order(members)
            named = [s for s in unit.supplements if self._is_named_after(s, ordered)]
            supplements = tuple(as_supplement(s, self.path_map) for s in named)
            yield NewBook(book_path, ordered, supplements, root_level=book_path != shared.place.path)

    def _folder_book(self, unit: ImportUnit, files: Sequence[NewFile]) -> Iterator[NewBook]:
        """A folder that is one book; where nothing of it is known or read, its supplements wait."""
        path = self.path_map.stored(unit.folder.path)
        supplements = [as_supplement(s, self.path_map) for s in unit.supplements]
        unknown = tuple(s for s in supplements if not self.known.has_file(s.path))
        if files or (unknown and self.known.book_at(path) is not None):
            yield NewBook(path, _in_order(files), unknown, root_level=False)

    def _shared_folder(self, unit: ImportUnit, files: Iterable[NewFile]) -> SharedFolder:
        folder = self.path_map.stored(unit.folder.path)
        # In the library folder itself, Shisho's rule finds the book by its path alone.
        neighbours = () if unit.folder.is_root else self.known.neighbours(folder)
        sound = {
            f.found.name: f.reading.parsed
            for f in files
            if f.found.file_type == "m4b" and f.reading.parsed is not None
        }
        titles = _part_titles(neighbours, sound)
        parts, tracks = part_keys(titles), album_parts(sound, _wholes(neighbours))
        present = {_key(n.title, n.author): n.book_path for n in reversed(neighbours)}
        present |= {_key(parts[n.file_name], None): n.book_path for n in neighbours if n.file_name in parts}
        is_taken = any(n.book_path == folder and n.file_type == "m4b" for n in neighbours)
        place = BookRow(0, self.known.library.id, folder)
        return SharedFolder(place, titles, parts, tracks, present, not unit.folder.is_root and not is_taken)

    def _is_named_after(self, file: FoundFile, mains: Sequence[NewFile]) -> bool:
        stems = [os.path.splitext(f.found.name)[0] for f in mains]
        path = self.path_map.stored(file.path)
        return any(file.name.startswith(stem) for stem in stems) and not self.known.has_file(path)


def _part_titles(known: Sequence[Neighbour], sound: Mapping[str, ParsedFile]) -> Mapping[str, str | None]:
    """Return what the audiobook files of a folder say that they are part of, by file name.

    What a known one says of its whole is its book's title, or nobody kept it: then it is what new files say
    whose names differ from its own in a number alone.
    """
    titles = {name: telling_title(parsed.title, parsed.album) for name, parsed in sound.items()}
    albums = {sort_stem(name): p.album for name, p in sound.items() if titles[name] != p.title}
    for n in known:
        if n.file_type == "m4b":
            whole = n.title if is_embedded(n.title_source) else albums.get(sort_stem(n.file_name))
            titles[n.file_name] = telling_title(n.name, whole)
    return titles


def _wholes(known: Sequence[Neighbour]) -> set[tuple[str, str]]:
    """Return the keys of the books that have several audiobook files."""
    counts = Counter(n.book_path for n in known if n.file_type == "m4b")
    return {_key(n.title, n.author) for n in known if counts[n.book_path] > 1}


def _key(title: str, author: str | None) -> tuple[str, str]:
    return folded(title), folded(author or "")


def _in_order(files: Sequence[NewFile]) -> tuple[NewFile, ...]:
    return tuple(sorted(files, key=lambda f: (f.found.file_type, f.path)))
