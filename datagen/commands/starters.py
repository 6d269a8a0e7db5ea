"""Starters that are written out, where the shipped tasks are too much to begin with.

Each is a recipe of one task over one staging table, with the template of its prompts.
"""

from typing import NamedTuple

from datagen.schema import TaskType


class Starter(NamedTuple):
    """The texts of a recipe, in which NAME is its own, and of its template."""

    recipe: str
    template: str


_HEAD = """\
# `datagen check NAME` names every mistake, `datagen preview NAME` shows a few rows.
name: NAME
"""

_WORDINGS = "{# All wordings of one prompt, a line `---` between them. Each row takes one by chance. #}\n"

ESCI_CHOICE = Starter(
    _HEAD
    + """\
description: Pick the product that a shopper looked for.
sources: {esci: {locale: [us]}}
tasks:
  best_match:
    type: multiple_choice
    track: user_behavior_alignment
    template: multiple_choice/NAME.j2
    rows: 500
    shortcut: 0.7 # a build warns where an answer without skill scores more, as counting words might
    # One row a query. `key` names the row; `correct` and `distractors` make the question; `split` and
    # `groups` keep a query on one side of train and test; any further column is a slot of the template.
    # `overlap` is the share of the query's words in a title: few in the right one, many in wrong ones.
    # `datagen sources esci` lists its tables and columns.
    query: |
      with option as (
        select query_id, query, split,
          arg_min(title, {overlap: overlap, lot: lot}) filter (label = 'E') as correct,
          list(title order by overlap desc, lot) filter (label <> 'E')[:3] as distractors
        from esci.titled group by all
      )
      select query_id as key, ['query:' || query_id] as groups, * from option
      where correct is not null and len(distractors) = 3
""",
    _WORDINGS
    + """\
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
""",
)

REVIEWS_CHOICE = Starter(
    _HEAD
    + """\
description: Tell praise from complaint in what customers write.
sources: {reviews: {}}
tasks:
  sentiment:
    type: multiple_choice
    track: user_behavior_alignment
    template: multiple_choice/NAME.j2
    rows: 500
    shortcut: 0.7 # a build warns where an answer without skill scores more, as always saying 0 might
    # One row a snippet of a review. `key` names the row; `options` and the place of the right one, counted
    # from 0, make the question; `groups` keep a product on one side of train and test; any further column
    # is a slot of the template. `datagen sources reviews` lists its tables and columns.
    query: |
      select key || '/' || aspect as key, groups, kind, aspect, snippet,
        ['It is praise.', 'It is a complaint.'] as options, if(sentiment = 'positive', 0, 1) as answer
      from reviews.snippets
""",
    _WORDINGS
    + """\
A customer wrote about the {{ aspect }} of a product: "{{ snippet }}". What is it?
{{ listing }}
Answer with the number only.
---
From a review in {{ kind }}: {{ snippet }}
What does the customer say about the {{ aspect }}?
{{ listing }}
Give the number.
""",
)

REVIEWS_RANKING = Starter(
    _HEAD
    + """\
description: Order reviews of a product by how content their writers are.
sources: {reviews: {}}
tasks:
  most_content:
    type: ranking
    track: user_behavior_alignment
    template: ranking/NAME.j2
    rows: 500
    # One row a product, with a review of each number of stars. `key` names the row; `candidates` and their
    # `gains` make the question, at most five; `groups` keep a product on one side of train and test; any
    # further column is a slot of the template. `datagen sources reviews` lists its tables and columns.
    query: |
      with one as (
        select * from reviews.told where length(text) <= 300
        qualify row_number() over (partition by item, stars order by lot, key) = 1
      )
      select item as key, groups, kind,
        list(text order by lot, key) as candidates, list(stars order by lot, key) as gains
      from one group by all having count(*) >= 3
""",
    _WORDINGS
    + """\
Reviews of a product in {{ kind }}:
{{ listing }}
Order them from the most content customer to the least. Answer with their numbers, separated by commas.
---
How content are these {{ count }} customers with the same product? Put the happiest first.
{{ listing }}
Give only the numbers, with commas between them.
""",
)

REVIEWS_RETRIEVAL = Starter(
    _HEAD
    + """\
description: Find the complaints among the reviews of a product.
sources: {reviews: {}}
tasks:
  complaints:
    type: retrieval
    track: user_behavior_alignment
    template: retrieval/NAME.j2
    rows: 500
    shortcut: 0.6 # a build warns where an answer without skill scores more, as the shortest texts might
    # One row a product. `key` names the row; up to three `positives` and the `negatives` make the question;
    # `groups` keep a product on one side of train and test; any further column is a slot of the template.
    # `datagen sources reviews` lists its tables and columns.
    query: |
      with sides as (
        select item, kind, groups, list(text order by lot, key) filter (stars <= 2) as poor,
          list(text order by lot, key) filter (stars >= 4) as good
        from reviews.told where length(text) <= 300 group by all
      )
      select item as key, groups, kind, poor[:3] as positives, good[:7] as negatives
      from sides where len(poor) >= 2 and len(good) >= 5
""",
    _WORDINGS
    + """\
Which {{ asked }} of these {{ count }} reviews are complaints?
{{ listing }}
Answer with their numbers, separated by commas.
---
Reviews of a product in {{ kind }}:
{{ listing }}
Pick the {{ asked }} of customers who are not content. Give only the numbers, with commas between them.
""",
)

REVIEWS_ENTITIES = Starter(
    _HEAD
    + """\
description: Find the brand in a product's title.
sources: {reviews: {}}
tasks:
  brand_in_title:
    type: named_entity_recognition
    track: shopping_concept_understanding
    template: named_entity_recognition/NAME.j2
    rows: 500
    # One row a product. `key` names the row; `text` and the `entities` in it make the question, which
    # `cited` gives as the text writes them; `groups` keep a product on one side of train and test; any
    # further column is a slot of the template. `datagen sources reviews` lists its tables and columns.
    query: |
      select product_id as key, ['product:us:' || product_id] as groups,
        title as text, [cited(title, brand)] as entities
      from reviews.products
      where cited(title, brand) is not null and not contains(brand, ',')
""",
    _WORDINGS
    + """\
Title of a product: {{ text }}
Which brand does it name? Answer with the brand only.
---
Write the brand that stands in this title, and nothing else.
{{ text }}
""",
)

STARTERS = {
    ("esci", TaskType.MULTIPLE_CHOICE): ESCI_CHOICE,
    ("reviews", TaskType.MULTIPLE_CHOICE): REVIEWS_CHOICE,
    ("reviews", TaskType.RANKING): REVIEWS_RANKING,
    ("reviews", TaskType.RETRIEVAL): REVIEWS_RETRIEVAL,
    ("reviews", TaskType.NAMED_ENTITY_RECOGNITION): REVIEWS_ENTITIES,
}
