"""The starter recipe and template that `datagen new` writes. They build on the sample shop at once."""

import re
from pathlib import Path

from datagen.errors import UserError
from datagen.paths import names

RECIPE = """\
# `datagen check {name}` names every mistake, `datagen preview {name}` shows a few rows.
name: {name}
description: Pick the product that a shopper looked for.
sources: {{esci: {{locale: [us]}}}}
tasks:
  {task}:
    type: multiple_choice
    track: user_behavior_alignment
    template: multiple_choice/{name}.j2
    rows: 500
    shortcut: 0.7 # a build warns where an answer without skill scores more, as counting words might
    # One row a query. `key` names the row; `correct` and `distractors` make the question; `split` and
    # `groups` keep a query on one side of train and test; any further column is a slot of the template.
    # `overlap` is the share of the query's words in a title: few in the right one, many in wrong ones.
    # `datagen sources` lists all tables and columns.
    query: |
      with option as (
        select query_id, query, split,
          arg_min(title, {{overlap: overlap, lot: lot}}) filter (label = 'E') as correct,
          list(title order by overlap desc, lot) filter (label <> 'E')[:3] as distractors
        from esci.titled group by all
      )
      select query_id as key, ['query:' || query_id] as groups, * from option
      where correct is not null and len(distractors) = 3
"""

TEMPLATE = """\
{# All wordings of one prompt, a line `---` between them. Each row takes one by chance. #}
A customer searched for "{{ query }}". Which of these products were they looking for?
{{ listing }}
Answer with the number only.
---
Search: {{ query }}
{{ listing }}
Give the number of the product that fits best.
---
Someone in a shop asks for: {{ query }}
The shelf holds {{ count }} products:
{{ listing }}
Which one do you hand over? Say its number and nothing else.
"""

TASK = "best_match"


def write_starter(name: str, folder: Path = Path()) -> list[Path]:
    """Write `recipes/<name>.yaml` and its template below `folder`; gives their paths.

    Raises UserError for a name that no recipe may have or that one has, or where a file is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UserError(f"`{name}`: a recipe's name is lower-case letters, digits and `_`, a letter first")
    texts = {
        folder / "recipes" / f"{name}.yaml": RECIPE.format(name=name, task=TASK),
        folder / "templates" / "multiple_choice" / f"{name}.j2": TEMPLATE,
    }
    for path in texts:
        if path.exists():
            raise UserError(f"{path} is there already. Take another name, or move it away")
    if name in names("recipes"):
        raise UserError(f"`{name}` is a recipe that ships with shoptalk. Take another name")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)
