"""What is on the sample shelf: each file with its content, made when it is asked for.

The texts are in the public domain; the pictures are drawn, the sound is silence.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from . import motifs
from .audiobook import build_audiobook
from .comic import build_comic
from .document import build_document
from .drawing import Motif, Palette, draw_cover, draw_page, jpeg, opened
from .ebook import build_ebook, element, series

_TEXTS = Path(__file__).parent / "texts"
_READING_SECONDS = 150


@dataclass(frozen=True, slots=True)
class Novel:
    """A novel as its EPUB tells of it; `part` is its series with its number there."""

    title: str
    author: str
    text: str
    published: str
    publisher: str
    genres: tuple[str, ...] = ()
    description: str = ""
    part: tuple[str, float] | None = None
    palette: Palette | None = None
    motif: Motif | None = None


TIME_MACHINE = Novel(
    "The Time Machine",
    "H. G. Wells",
    "the-time-machine",
    "1895-05-07",
    "William Heinemann",
    ("Science Fiction", "Classics"),
    "A Victorian gentleman rides to the year 802,701, and comes late to his own dinner party.",
    palette=Palette((38, 30, 64), (18, 14, 30), (232, 178, 92)),
    motif=motifs.dial,
)
STUDY = Novel(
    "A Study in Scarlet",
    "Arthur Conan Doyle",
    "a-study-in-scarlet",
    "1887-12-01",
    "Ward, Lock & Co.",
    ("Mystery",),
    part=("Sherlock Holmes", 1),
    palette=Palette((176, 38, 42), (84, 12, 22), (252, 214, 140)),
    motif=motifs.window,
)
CORRECTED_STUDY = replace(
    STUDY,
    genres=("Mystery", "Classics"),
    description="Two lodgers meet in Baker Street, and a word is found on a wall in Brixton.",
)
NOVELS = (
    STUDY,
    Novel(
        "The Hound of the Baskervilles",
        "Arthur Conan Doyle",
        "the-hound",
        "1902-03-25",
        "George Newnes",
        ("Mystery", "Classics"),
        "A family curse, a baronet found dead, and the footprints of a gigantic hound.",
        ("Sherlock Holmes", 3),
        Palette((44, 66, 84), (14, 22, 32), (244, 232, 176)),
        motifs.moor,
    ),
    Novel(
        "Twenty Thousand Leagues under the Sea",
        "Jules Verne",
        "twenty-thousand-leagues",
        "1870-06-20",
        "Pierre-Jules Hetzel",
        ("Adventure", "Science Fiction"),
        "A professor, his servant and a harpooner are the guests of a captain who left the land for good.",
        ("Extraordinary Voyages", 6),
        Palette((86, 168, 190), (12, 34, 66), (250, 214, 120)),
        motifs.sea,
    ),
    Novel(
        "Around the World in Eighty Days",
        "Jules Verne",
        "around-the-world",
        "1873-01-30",
        "Pierre-Jules Hetzel",
        ("Adventure",),
        "A bet at the Reform Club sends Phileas Fogg around the globe, by the timetable.",
        ("Extraordinary Voyages", 11),
        Palette((246, 226, 184), (222, 178, 120), (120, 72, 40), "dark"),
        motifs.globe,
    ),
    Novel(
        "Pride and Prejudice",
        "Jane Austen",
        "pride-and-prejudice",
        "1813-01-28",
        "Thomas Egerton",
        ("Romance", "Classics"),
        "Five sisters, one entail, and a first impression that takes a year to undo.",
        palette=Palette((12, 64, 74), (6, 36, 46), (84, 196, 170)),
        motif=motifs.feathers,
    ),
    Novel(
        "Frankenstein",
        "Mary Shelley",
        "frankenstein",
        "1818-01-01",
        "Lackington, Hughes, Harding, Mavor & Jones",
        ("Horror", "Science Fiction", "Classics"),
        "A student makes a man, and runs away.",
        palette=Palette((52, 58, 66), (22, 24, 30), (188, 224, 92)),
        motif=motifs.lightning,
    ),
    Novel(
        "Moby-Dick",
        "Herman Melville",
        "moby-dick",
        "1851-10-18",
        "Harper & Brothers",
        ("Adventure", "Classics"),
        "A captain hunts the whale that took his leg, and takes everybody along.",
        palette=Palette((238, 222, 196), (34, 76, 104), (126, 170, 178), "dark"),
        motif=motifs.whale,
    ),
    Novel("The Yellow Wallpaper", "Charlotte Perkins Gilman", "the-yellow-wallpaper", "1892-01-01", ""),
)
_WOOD = Palette((244, 196, 110), (52, 30, 70), (232, 88, 60))
_NIGHT_SEA = Palette((40, 60, 110), (16, 28, 60), (130, 190, 90))
_MIDNIGHT = Palette((92, 70, 104), (24, 18, 34), (226, 216, 226))
_PAPER = Palette((240, 230, 206), (226, 206, 168), (120, 84, 50), "dark")

BROKEN = "Downloads/Dracula (download broke off).epub"


def shelf() -> Mapping[str, Callable[[], bytes]]:
    """Return how each file of the shelf is made, by its path."""
    files: dict[str, Callable[[], bytes]] = {}
    for novel in (TIME_MACHINE, *NOVELS):
        files[path_of(novel)] = _ebook_of(novel)
    files[path_of(TIME_MACHINE, "m4b")] = _time_machine_read_aloud
    files["Comics/Nonsense Illustrated/Jabberwocky.cbz"] = _jabberwocky
    files["Comics/Nonsense Illustrated/The Owl and the Pussy-cat.cbz"] = _owl
    files["Edgar Allan Poe/The Raven/The Raven.pdf"] = _raven
    files["Arthur Conan Doyle/The Hound of the Baskervilles/map.pdf"] = _map
    files[f"{_folder('Jules Verne', _EIGHTY_DAYS)}/{_EIGHTY_DAYS}.metadata.json"] = _edited_sidecar
    files[BROKEN] = _broken
    return files


def path_of(novel: Novel, extension: str = "epub") -> str:
    return f"{_folder(novel.author, novel.title)}/{novel.title}.{extension}"


def corrected() -> bytes:
    """Return the edition of `STUDY` that came out after the shelf was scanned."""
    return _ebook(CORRECTED_STUDY)


_EIGHTY_DAYS = "Around the World in Eighty Days"


def _folder(author: str, title: str) -> str:
    return f"{author}/{title}"


def _ebook_of(novel: Novel) -> Callable[[], bytes]:
    return lambda: _ebook(novel)


def _ebook(novel: Novel) -> bytes:
    metadata = [
        element("identifier", uuid.uuid5(uuid.NAMESPACE_URL, novel.text).urn, id="id"),
        element("title", novel.title),
        element("creator", novel.author),
        element("language", "en"),
        element("date", novel.published),
        *(element("subject", genre) for genre in novel.genres),
    ]
    if novel.publisher:
        metadata.append(element("publisher", novel.publisher))
    if novel.description:
        metadata.append(element("description", novel.description))
    if novel.part:
        metadata.append(series(*novel.part))
    return build_ebook(metadata, _chapters(novel.text), _cover(novel))


@lru_cache(maxsize=2)
def _cover(novel: Novel) -> bytes | None:
    if novel.palette is None or novel.motif is None:
        return None
    return draw_cover(novel.title, novel.author, novel.palette, novel.motif)


def _time_machine_read_aloud() -> bytes:
    tags = {
        "©nam": TIME_MACHINE.title,
        "©ART": TIME_MACHINE.author,
        "©nrt": "The Silent Reader",
        "©gen": "Science Fiction, Classics",
        "©pub": "Sample Audio",
        "©day": "2024",
        "desc": TIME_MACHINE.description,
    }
    chapters = [(title, _READING_SECONDS) for title in _chapters(TIME_MACHINE.text)]
    cover = _cover(TIME_MACHINE)
    assert cover is not None
    return build_audiobook(tags, {"LANGUAGE": "en"}, chapters, cover)


def _jabberwocky() -> bytes:
    pages = _drawn("jabberwocky", _WOOD, (motifs.forest, motifs.forest, motifs.blade, motifs.blade))
    cover = draw_cover("Jabberwocky", "Lewis Carroll", replace(_WOOD, ink="dark"), motifs.forest)
    info = {
        "Title": "Jabberwocky",
        "Series": "Nonsense Illustrated",
        "Number": "1",
        "Summary": "A boy, a sword, and a wood that burbles.",
        "Year": "1871",
        "Writer": "Lewis Carroll",
        "Genre": "Poetry, Fantasy",
        "LanguageISO": "en",
        "Publisher": "Sample Comics",
    }
    return build_comic(info, [cover, *pages], {1: "The Warning", 3: "The Deed"})


def _owl() -> bytes:
    pages = _drawn("the-owl", _NIGHT_SEA, (motifs.boat, motifs.boat))
    cover = draw_cover("The Owl and the Pussy-cat", "Edward Lear", _NIGHT_SEA, motifs.boat)
    info = {
        "Title": "The Owl and the Pussy-cat",
        "Series": "Nonsense Illustrated",
        "Number": "2",
        "Summary": "An elopement, with honey.",
        "Year": "1871",
        "Writer": "Edward Lear",
        "Genre": "Poetry",
        "LanguageISO": "en",
        "Publisher": "Sample Comics",
    }
    return build_comic(info, [cover, *pages], {1: "To Sea"})


def _drawn(text: str, palette: Palette, drawn: Sequence[Motif]) -> list[bytes]:
    return [jpeg(draw_page(lines, palette, m)) for lines, m in zip(_verses(text), drawn, strict=True)]


def _raven() -> bytes:
    front = opened(draw_cover("The Raven", "Edgar Allan Poe", _MIDNIGHT, motifs.bough))
    pages = [front, *(draw_page(lines, _MIDNIGHT, motifs.bough) for lines in _verses("the-raven"))]
    info = {
        "Title": "The Raven",
        "Author": "Edgar Allan Poe",
        "Subject": "A midnight, a bust of Pallas, and one word.",
        "Keywords": "Poetry, Night",
    }
    return build_document(info, pages, [("A Tapping", 1), ("Nevermore", 3)])


def _map() -> bytes:
    page = opened(draw_cover("Dartmoor", "Drawn after Dr. Watson’s reports", _PAPER, motifs.chart))
    return build_document({"Title": "A map of Dartmoor"}, [page])


def _edited_sidecar() -> bytes:
    """What a person would write who wants tags and knows better than the file."""
    content = {
        "version": 1,
        "subtitle": "The copy with the pencil notes",
        "tags": ["Favourites", "Read aloud"],
    }
    return json.dumps(content, indent=2).encode()


def _broken() -> bytes:
    whole = build_ebook([element("title", "Dracula"), element("creator", "Bram Stoker")], {"I": ["3 May."]})
    return whole[: len(whole) // 2]


def _verses(text: str) -> list[list[str]]:
    return [verse.splitlines() for part in _chapters(text).values() for verse in part]


def _chapters(text: str) -> dict[str, list[str]]:
    """Return a text's paragraphs by the title of their chapter."""
    chapters: dict[str, list[str]] = {}
    for part in (_TEXTS / f"{text}.txt").read_text(encoding="utf-8").split("# ")[1:]:
        title, _, body = part.partition("\n")
        chapters[title.strip()] = [paragraph.strip() for paragraph in body.strip().split("\n\n")]
    return chapters
