"""Pure text rules: names, titles, numbers, identifiers, languages, dates, markup. No I/O."""
