"""Files to documents: text, Markdown, HTML, PDF text, JSONL, and `.gz` of each.

```python
for row in read_documents(["articles/"]):
    if isinstance(row, Failure):
        ...   # one row for each file that could not be read, with the reason and a way out
    else:
        row.text  # what was written, offsets of everything later count in it
```

One bad file never stops the others. Reading the same bytes gives the same documents on every
machine: no clock, no locale, no place on the disk gets into them.
"""

from harvest.documents.folder import Reading, read_documents
from harvest.documents.source import Failure, Source

__all__ = ["Failure", "Reading", "Source", "read_documents"]
