import pytest
from library import Library, epub
from web import *

@pytest.mark.asyncio
async def test_try(book: Library):
    book.rewrite(1, epub("Dune", ["Frank Herbert"], genres=["SF"], series="Dune", number=1, language="en"))
    c = Client(served(book))
    r = await c.get(c.path("books",1), json=True)
    print(r.status_code, r.text[:600])
    r = await c.get(c.path("books",1))
    print(r.status_code, r.text[-3500:])
    r = await c.resync()
    print(r.status_code, r.text[:600])
    r = await c.get(c.path("books",1,"explain"))
    print(r.status_code, len(r.text))
    r = await c.get("/library/resync_runs/1/-/undo")
    print(r.status_code, r.text[-3000:])
    r = await c.get("/library/books/1")
    i = r.text.index("Row actions")
    print(r.status_code, r.text[i:i+3500])
    r = await c.form("/library/resync_runs/1/-/undo", {"undo":"Undo"})
    print(r.status_code, r.headers, c.messages(r), book.book()["title"])
