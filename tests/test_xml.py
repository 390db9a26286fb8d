from __future__ import annotations

import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest

from datasette_shisho_resync.errors import LimitExceeded, UnreadableFile
from datasette_shisho_resync.model import Limits
from datasette_shisho_resync.parsers.xml import parse_xml

LIMITS = Limits()


def text_of(data: bytes, *, recover: bool = False) -> str:
    return str(parse_xml(data, "book.epub", LIMITS, recover=recover).xpath("string()"))


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
)
@pytest.mark.parametrize("declared", ["utf-8", "UTF-16", "iso-8859-1"])
def test_marked_or_visibly_wide_text_is_read_whatever_it_declares(encoding: str, declared: str) -> None:
    document = f'<?xml version="1.0" encoding="{declared}"?><a>Čapek 🔍</a>'
    assert text_of(document.encode(encoding)) == "Čapek 🔍"


@pytest.mark.parametrize(
    ("declared", "data", "text"),
    [
        ("ISO-8859-1", b"caf\xe9", "café"),
        ("ISO-8859-1", b"it\x92s", "it’s"),
        ("windows-1251", b"\xca\xed\xe8\xe3\xe0", "Книга"),
        ("Shift_JIS", b"\x96{", "本"),
        ("GBK", b"\xca\xe9", "书"),
        ("utf-16", "café".encode(), "café"),
        ("klingon", "café".encode(), "café"),
        ("punycode", "café".encode(), "café"),
        ("unicode_escape", b"\\x41", "\\x41"),
        ("hex", b"41", "41"),
        ("undefined", b"41", "41"),
    ],
)
def test_declared_encodings_are_honoured_where_they_are_some(declared: str, data: bytes, text: str) -> None:
    declaration = f'<?xml version="1.0" encoding="{declared}"?>'.encode()
    assert text_of(declaration + b"<a>" + data + b"</a>") == text


def test_blanks_before_the_declaration_do_no_harm() -> None:
    assert text_of(b"\n <?xml version='1.0'?><a>text</a>") == "text"


def test_text_that_is_not_in_its_encoding_is_read_only_when_recovering() -> None:
    with pytest.raises(UnreadableFile):
        text_of(b"<a>caf\xe9</a>")
    assert text_of(b"<a>caf\xe9</a>", recover=True) == "café"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a&nbsp;b", "a\xa0b"),
        ("&eacute;&mdash;&hellip;", "é—…"),
        ("&amp;nbsp; &lt;b&gt; &quot;&apos;", "&nbsp; <b> \"'"),
        ("&LT;b&AMP;", "<b&"),
        ("&nosuchthing;", "&nosuchthing;"),
        ("<![CDATA[&nbsp;<b>]]>&nbsp;<![CDATA[&amp;]]>", "&nbsp;<b>\xa0&amp;"),
        ("&#233;&#xe9;", "éé"),
    ],
)
def test_html_entities_are_characters_but_not_in_cdata(source: str, text: str) -> None:
    assert text_of(f"<a>{source}</a>".encode()) == text


def test_html_entities_are_characters_in_attributes() -> None:
    assert parse_xml(b'<a b="x&nbsp;&quot;y"/>', "book.epub", LIMITS).get("b") == 'x\xa0"y'


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE a>",
        "<!doctype html>",
        '<!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" "http://example.com/ncx>.dtd">',
        '<!DOCTYPE a [<!ENTITY x "]>"><!-- ]> --><?pi ]> ?>]>',
        "<?pi <!DOCTYPE ?><!-- <!DOCTYPE b> -->\n<!DOCTYPE a [ ] >",
    ],
)
def test_a_document_type_is_passed_over(doctype: str) -> None:
    assert text_of(f"{doctype}<a>text</a>".encode()) == "text"


def test_a_document_type_is_only_looked_for_before_the_root() -> None:
    assert text_of(b"<a>x<![CDATA[<!DOCTYPE b>]]></a>") == "x<!DOCTYPE b>"


def test_declared_entities_are_never_expanded() -> None:
    assert text_of(b'<!DOCTYPE a [<!ENTITY lol "lol"><!ENTITY b "&lol;&lol;">]><a>&b;</a>') == "&b;"


@pytest.mark.parametrize(
    ("opening", "reference"),
    [("<!--><a --><!DOCTYPE", "&t;"), ("<\1!DOCTYPE", "&\1t;"), ("<!DOC\1TYPE", "&\1t;")],
)
def test_no_trick_hides_a_document_type(opening: str, reference: str) -> None:
    declared = '[<!ENTITY t "secret"><!ATTLIST a d CDATA "default">]'
    document = f'{opening} a {declared}><a b="{reference}"/>'.encode()
    root = parse_xml(document, "book.epub", LIMITS, recover=True)
    assert dict(root.attrib.items()) == {"b": "&t;"}


def test_outside_files_are_never_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    entities = f'<!ENTITY s SYSTEM "file://{secret}"><!ENTITY % p SYSTEM "{secret}"> %p;'
    assert text_of(f"<!DOCTYPE a SYSTEM '{secret}' [{entities}]><a>&s;</a>".encode()) == "&s;"


def test_defaults_from_the_document_type_are_not_applied() -> None:
    root = parse_xml(b'<!DOCTYPE a [<!ATTLIST a b CDATA "default">]><a/>', "book.epub", LIMITS)
    assert not root.attrib


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"   ",
        b"plain text",
        b"<a>",
        b"<a>R&D</a>",
        b"<a><b></a>",
        b"<!DOCTYPE a",
        b'<!DOCTYPE a ["]><a/>',
        b"<!-- <a/>",
        b"<? <a/>",
        b"\xff\xfe<",
        b"\0\0\0<",
        b"<a>\0</a>",
        b"<a><" + b"x" * 40_000 + b"></y></a>",
        b"<a xmlns='urn:a:b\x7f'><b></a>",
    ],
)
def test_what_is_no_xml_is_refused_by_name_in_one_short_line(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match=r"^book\.epub: ") as refused:
        parse_xml(data, "book.epub", LIMITS)
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 400


@pytest.mark.parametrize("data", [b"", b"plain text", b"\0\1\2", b"<!DOCTYPE a", b"<?xml"])
def test_what_is_no_xml_at_all_is_refused_when_recovering_too(data: bytes) -> None:
    with pytest.raises(UnreadableFile):
        parse_xml(data, "book.epub", LIMITS, recover=True)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"<a>R&D &amp; more", "R&D & more"),
        (b"<a>one<b>two</a>", "onetwo"),
        (b"<a>o\x01ne</a>", "one"),
        (b"<a><dc:b>one</dc:b></a>", "one"),
    ],
)
def test_broken_documents_give_what_they_hold_when_recovering(data: bytes, text: str) -> None:
    assert text_of(data, recover=True) == text


@pytest.mark.parametrize("recover", [False, True])
@pytest.mark.parametrize(
    ("data", "limits", "setting"),
    [
        (b"<a>" + b"x" * 100 + b"</a>", Limits(max_xml_bytes=50), "max_xml_bytes"),
        (b"<a>" + b"<b/>" * 100 + b"</a>", Limits(max_xml_nodes=100), "max_xml_nodes"),
        (b"<a>" + b"<!---->" * 100 + b"</a>", Limits(max_xml_nodes=100), "max_xml_nodes"),
        (b"<a " + b"b='' " * 201 + b"/>", Limits(max_xml_nodes=100), "max_xml_nodes"),
        (b"<a>" + b"&x;" * 201 + b"</a>", Limits(max_xml_nodes=100), "max_xml_nodes"),
        (b"<!DOCTYPE a [" + b"''" * 150 + b"]><a/>", Limits(max_xml_nodes=100), "max_xml_nodes"),
        (b"<a>" * 11 + b"</a>" * 11, Limits(max_xml_depth=10), "max_xml_depth"),
        (b"<a>" * 101 + b"</a>" * 101, LIMITS, "max_xml_depth"),
        (b"<a>" * 5_000 + b"</a>" * 5_000, LIMITS, "max_xml_depth"),
    ],
)
def test_limits_are_named(data: bytes, limits: Limits, setting: str, recover: bool) -> None:
    with pytest.raises(LimitExceeded, match=setting):
        parse_xml(data, "book.epub", limits, recover=recover)


def test_what_just_fits_the_limits_is_read() -> None:
    nested = b"<a>" * 100 + b"</a>" * 100
    wide = b"<a>" + b"<b/>" * 99 + b"</a>"
    assert len(parse_xml(nested, "book.epub", Limits(max_xml_nodes=100))) == 1
    assert len(parse_xml(wide, "book.epub", Limits(max_xml_nodes=100))) == 99


@pytest.mark.parametrize(
    "unit",
    [b"<a>", b"<a/>", b"&a;", b"<![CDATA[", b"<!--", b"<!DOCTYPE", b"<?", b"'", b"<!DOCTYPE a [", b"\0"],
)
def test_a_hostile_document_costs_little_memory(unit: bytes) -> None:
    data = b"<a>" + unit * (8 * 1024**2 // len(unit) - 3)
    tracemalloc.start()
    try:
        for recover in (False, True):
            with suppress(LimitExceeded, UnreadableFile):
                parse_xml(data, "book.epub", LIMITS, recover=recover)
        assert tracemalloc.get_traced_memory()[1] < 60 * 1024**2
    finally:
        tracemalloc.stop()
