"""The classifier of questions: task types, listed numbers and cited texts, in six languages."""

import json
from pathlib import Path

import pytest

from datagen.classify.task_type import classify
from datagen.prompts.options import listed
from datagen.schema import TaskType
from datagen.shopbench.questions import read_questions

LIST = "red running shoes\nblue leather boots\ngreen garden hose\nwooden chair"


def numbered(first: int, mark: str = "{}. ", count: int = 4) -> str:
    lines = (LIST + "\n" + LIST + "\n" + LIST).splitlines()[:count]
    return "\n".join(mark.format(number) + line for number, line in enumerate(lines, first))


N0, N1, N5, N10 = numbered(0), numbered(1), numbered(1, count=5), numbered(1, count=10)

CHOICE = [
    f"Which of the following brands is most related to the brand Contigo?\n{N0}\nAnswer:",
    f"Which product would a customer who bought a stand mixer most likely also buy?\n{N1}\nOutput:",
    f"A shirt described as 'navy' has the same colour as one described as\n{N0}\nAnswer: ",
    f"Convert 12 fluid ounces to millilitres.\n{N0}\nAnswer: ",
    f"The event PersonX buys a lamp may cause\n{numbered(0, '{}) ')}\nAnswer:",
    f"Select the topic of this conversation.\nA: Hi!\nB: Hello.\nOptions:\n{numbered(0, '({}) ')}\n"
    "Your choice:",
    f"Which of these reviews is the most helpful? Answer with one number.\n{N0}",
    f"Given the 3 reviews below, what is the overall sentiment on the aspect size?\nReview: 1\n{N0}\nAnswer:",
    f"Welches Produkt passt am besten zur Suche „Laufschuhe“?\n{N0}\nAntworte nur mit der Nummer.",
    f"Welche der folgenden Beschreibungen gehört zum selben Produkt?\n{N0}\nAntwort:",
    f"Quel produit le client va-t-il acheter ensuite ?\n{N0}\nRéponds uniquement par son numéro.",
    f"Quale dei seguenti prodotti corrisponde meglio alla ricerca «scarpe»?\n{N0}\n"
    "Rispondi solo con il numero.",
    f"¿Qué relación hay entre la búsqueda y el producto?\n{N0}\nRespuesta:",
    f"検索語「靴」に最も合う商品はどれですか。\n{N0}\n答え:",
    "Instructions: Rate this review from 1 to 5 stars.\nInput: It broke after 2 days.\nOutput:",
    "Bewerte die folgende Rezension auf einer Skala von 1 bis 5.\nRezension: Nach 2 Tagen kaputt.\nAntwort:",
    "Évaluez cet avis sur une échelle de 1 à 5.\nAvis : Cassé en 2 jours.\nRéponse :",
    "次のレビューを1から5の5段階で評価してください。\nレビュー：すぐに壊れました。\n答え：",
    "Are the two products the same? Answer yes or no.\nProduct 1: a lamp\nProduct 2: a lamp, black\nOutput:",
    "Which product fits the query 'boots'?\nA. red shoes\nB. blue leather boots\nC. a garden hose\nAnswer:",
    "Which product fits the query 'boots'? (A) red shoes (B) blue leather boots (C) a garden hose. Answer:",
]
RANKING = [
    "Arrange the products by how well they match.\nQuery: lamp\nA: red\nB: blue\nC: big\nLetters, commas:",
    f"Rank the products by their relevance to the query 'boots'.\n{N5}\nOutput a permutation of 1 to 5.",
    f"Sort these reviews from most to least helpful; separate the numbers with commas.\n{N5}\nOutput:",
    f"Please re-order the 5 products so that the best comes first.\n{numbered(1, '{}) ', 5)}\n"
    "Output 5 numbers:",
    f"{numbered(1, '[{}] ', 5)}\n"
    "In which order should a shop show these for 'boots'? Give all numbers, with commas.",
    f"Sortiere die Produkte nach ihrer Relevanz für „Stiefel“.\n{N5}\nNur die Nummern, mit Kommas.",
    f"Classez les produits du plus pertinent au moins pertinent.\n{N5}\nNuméros séparés par des virgules :",
    f"Ordina i prodotti per pertinenza con «stivali».\n{N5}\nSolo i numeri, separati da virgole.",
    f"Ordena los productos según su relevancia.\n{N5}\nSolo los números, separados por comas.",
    f"商品を関連性の高い順に並べ替えてください。\n{N5}\n番号をカンマ区切りで:",
    f"Query: boots\nProducts:\n{N5}\nBest to worst, numbers separated by commas:",
]
RETRIEVAL = [
    f"Select 3 products that the user may also buy.\n{N10}\nOutput three comma-separated numbers:",
    f"Which three queries will the user most likely type next? Output only indices.\n{N10}\n",
    f"Choose the brands related to Contigo. Separate their numbers with commas.\n"
    f"{numbered(1, '{}.', 10)}\nOutput:",
    f"You are given three conversations.\nPick the 3 topics that they are about.\n"
    f"{numbered(1, '{}) ', 10)}\nAnswer in numbers:",
    f"Review: it fits well\nFind the aspects that it covers, as comma separated indices.\n"
    f"Aspects: {numbered(0, count=10)}\n",
    f"Wähle drei Produkte aus, die der Kunde ebenfalls kauft. Nur Nummern, mit Kommas.\n{N10}",
    f"Choisissez trois produits. Répondez par leurs numéros, séparés par des virgules.\n{N10}",
    f"Scegli tre prodotti e rispondi con i numeri separati da virgole.\n{N10}",
    f"Selecciona tres productos. Escribe sus números separados por comas.\n{N10}",
    f"商品を3個選び、番号をカンマ区切りで答えてください。\n{N10}",
    f"Output the IDs of the products that match 'boots'.\n{N10}",
]
ENTITIES = [
    "What is the brand in the title 'acme desk lamp'? Copy it from the title.",
    "Find the words that describe 'color' in the query 'acme red lamp'; separate several with commas.",
    "Extract the phrases of the entity type 'brand' from the query. Separate them with commas.\n"
    "Query: acme lamp\nOutput:",
    "List all colours named in the title exactly as written, separated by commas.\n"
    "Title: acme lamp, red\nColours:",
    "What is the 'material' mentioned in the product title 'acme oak lamp with a long cable'?",
    "Which named entities of type size stand in this text?\nText: acme lamp 20 cm\nAnswer:",
    "Extrahiere die Marke aus der Suchanfrage; mehrere durch Komma trennen.\nSuchanfrage: acme lampe\nMarke:",
    "Extrayez la marque de la requête, telle quelle, séparée par des virgules.\n"
    "Requête : acme lampe\nMarque :",
    "Estrai il marchio dalla ricerca così come è scritto; separa più marchi con virgole.\n"
    "Ricerca: acme lampada\n",
    "Extrae la marca de la búsqueda; si hay varias, sepáralas con comas.\nBúsqueda: acme lámpara\nMarca:",
    "検索語からブランド名を抜き出し、カンマで区切ってください。\n検索語: acme ランプ\nブランド:",
    "List every color mentioned in the title, separated by commas.\nTitle: acme lamp, red",
    "Identify the material in the following product title: 'acme oak lamp'",
    "Nenne die Marke genau so, wie sie im Titel steht.\nTitel: acme Lampe, rot",
    "Finde im Titel die Farbe und gib sie wörtlich wieder.\nTitel: acme Lampe, rot",
    "Quelle est la marque dans ce titre ?\nTitre : acme lampe, rouge",
    "Indica la marca que aparece en este título.\nTítulo: acme lámpara, roja",
    "¿Qué color aparece en el título?\nTítulo: acme lámpara, roja",
    "Quale colore compare nel titolo?\nTitolo: acme lampada, rossa",
    "次の商品名からブランドを抜き出してください。\n商品名：acme 赤いランプ",
    "商品名に含まれる色をそのまま書いてください。\n商品名：acme 赤いランプ",
]
TEXT = [
    "入力: そのまま使える 色:赤、サイズ:M カンマ\n指示: この商品の名前を一つ作ってください。\n出力:",
    "Input: Explain the product type Handbag\nOutput:",
    "Explain the product category Handbag.",
    "Instructions: Tell me what the attribute 'fabric type' means.\nOutput:",
    "Write a title for a product with these features:\n1. Made of oak\n2. 20 cm high\n"
    "3. With a cable\nTitle:",
    "Generate a positive review about the size of a lamp.\nReview:",
    "Rewrite the query so that a shop understands it better.\nQuery: smth for lite\nOutput:",
    "A user asks: which of these fits a small room? Answer from the product's details.\n"
    "Product: lamp\nAnswer:",
    "Translate the product title 'Desk Lamp, Black' into German.",
    "Which keyphrase of the review mentions the aspect comfort? Extract only one.\n"
    "Review: soft, warm\nAspect: comfort\n",
    "Name the category of the product described.\nDescription: 1. It shines, 2. It is black\nCategory:",
    f"How much does she pay?\n{N0}\nAnswer: Let's think step by step.",
    "Übersetze den Titel ins Deutsche.\nTitel: Desk Lamp, Black\nAusgabe:",
    "Generieren Sie einen Titel für dieses Produkt.\nBeschreibung: eine Lampe, schwarz\nTitel:",
    "Générez un titre pour ce produit.\nDescription : une lampe, noire\nTitre :",
    "Scrivi un titolo per questo prodotto.\nDescrizione: una lampada, nera\nTitolo:",
    "Escribe un título para este producto.\nCaracterísticas:\n- de roble\n- de 20 cm\nTítulo:",
    "次の商品の説明からタイトルを作成してください。\n説明：黒いランプ、20cm\nタイトル：",
    "Translate the title into German. Keep the brand name as it is.\nTitle: acme lamp, red",
    "Übersetze den Titel ins Deutsche. Die Marke bleibt unverändert.\nTitel: acme lamp, red",
    "Traduce el título al español y deja la marca tal cual.\nTítulo: acme lamp, red",
    "ブランド名はそのまま残して、商品名を日本語に翻訳してください。\n商品名：acme lamp, red",
    "Write a title from brand, colour and size.\nBrand: acme\nColour: red\nSize: 20 cm",
    "Which keyphrase of the review is about the size? Extract only one.\nReview: soft, fits well",
]
MARKS = {
    "letters": "A. {} B. {} C. {}",
    "two letters": "A. {0} B. {1}",
    "brackets": "(A) {} (B) {} (C) {}",
    "two in brackets": "[1] {0} [2] {1}",
    "bars": "A: {} | B: {} | C: {}",
    "semicolons behind letters": "A. {}; B. {}; C. {}",
    "semicolons": "Options: {}; {}; {}",
    "bars without letters": "Options: {} | {} | {}\nAnswer:",
    "numbers": "1) {} 2) {} 3) {}",
    "square": "[1] {} [2] {} [3] {}",
    "full width": "１．{} ２．{} ３．{}",
    "full-width letters": "Ａ．{} Ｂ．{} Ｃ．{}",
    "circled": "① {} ② {} ③ {}",
    "Roman": "i) {} ii) {} iii) {}",
    "named": "Option A: {} Option B: {} Option C: {}",
    "lines, small": "\na. {}\nb. {}\nc. {}",
    "lines, dashes": "\nA - {}\nB - {}\nC - {}",
    "lines, named": "\nOption 1 - {}\nOption 2 - {}\nOption 3 - {}",
    "lines, Roman": "\nI. {}\nII. {}\nIII. {}",
    "lines, kana": "\nア．{}\nイ．{}\nウ．{}",
    "lines below options": "\nOptions:\n{}\n{}\n{}\nAnswer:",
}
HEAVIEST = {
    "Which is the heaviest?": ("paper", "steel", "glass"),
    "Welches ist am schwersten?": ("Papier", "Stahl", "Glas"),
    "¿Cuál es el más pesado?": ("papel", "acero", "vidrio"),
    "Lequel est le plus lourd ?": ("papier", "acier", "verre"),
    "Quale pesa di più?": ("carta", "acciaio", "vetro"),
    "一番重いのはどれですか？": ("紙", "鉄", "ガラス"),
}


@pytest.mark.parametrize("marks", MARKS)
def test_options_are_options_in_any_dress(marks: str) -> None:
    for question, texts in HEAVIEST.items():
        prompt = f"{question} {MARKS[marks].format(*texts)}"
        guess = classify(prompt, None)
        assert guess.task_type is TaskType.MULTIPLE_CHOICE
        assert len(guess.numbers) == (2 if "two" in marks else 3)
        assert listed(prompt).texts == texts[: len(guess.numbers)]


@pytest.mark.parametrize(
    "prompt",
    [
        "Query: blue boots. Rank the products by relevance. 1. red boots 2. blue boots 3. a hat",
        "Query: blue boots Rank the products by relevance: A. red boots B. blue boots C. a hat",
        "Query: blue boots. Rank the products.\n1. red\n2. blue\n3. a hat\nAnswer with numbers and commas.",
        "Query: blue boots Products: 1. red boots 2. blue boots 3. a hat Rank the products by relevance.",
        "Suche: Stiefel. Sortiere die Produkte nach Relevanz: 1) rot 2) blau 3) Hut",
        "Búsqueda: botas. Ordena los productos según su relevancia: 1. rojas 2. azules 3. sombrero",
        "Requête : bottes. Classez les produits par pertinence : 1. rouges 2. bleues 3. chapeau",
        "Ricerca: stivali. Ordina i prodotti per pertinenza: 1. rossi 2. blu 3. cappello",
        "検索語：靴。商品を関連性の高い順に並べ替えてください。 1. 赤い靴 2. 青い靴 3. 帽子",
    ],
)
@pytest.mark.parametrize("told", [False, None])
def test_an_instruction_may_share_the_line_of_what_it_is_about(prompt: str, told: bool | None) -> None:
    guess = classify(prompt, told)
    assert (guess.task_type, guess.numbers) == (TaskType.RANKING, (1, 2, 3))


def test_an_instruction_may_stand_behind_the_options() -> None:
    guess = classify("A. paper B. steel C. glass. Which is the heaviest?", None)
    assert (guess.task_type, guess.numbers) == (TaskType.MULTIPLE_CHOICE, (0, 1, 2))


def test_a_query_that_shares_the_line_of_the_instruction_says_nothing_itself() -> None:
    guess = classify("Query: rank insignia. Which product fits best? A. a badge B. a boot C. a hat", None)
    assert guess.task_type is TaskType.MULTIPLE_CHOICE


WORDED = {
    TaskType.MULTIPLE_CHOICE: CHOICE,
    TaskType.RANKING: RANKING,
    TaskType.RETRIEVAL: RETRIEVAL,
    TaskType.NAMED_ENTITY_RECOGNITION: ENTITIES,
    TaskType.GENERATION: TEXT,
}
CASES = [(kind, prompt) for kind, prompts in WORDED.items() for prompt in prompts]


@pytest.mark.parametrize(("kind", "prompt"), CASES)
@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
def test_the_task_type_is_read_off_the_words(kind: TaskType, prompt: str, told: bool) -> None:
    flag = kind is TaskType.MULTIPLE_CHOICE if told else None
    assert classify(prompt, flag).task_type is kind


@pytest.mark.parametrize(
    ("prompt", "numbers"),
    [
        (f"Which?\n{N0}\nAnswer:", (0, 1, 2, 3)),
        (f"Which?\n{N1}\nAnswer:", (1, 2, 3, 4)),
        ("Which one? (0) red (1) blue, size 3. wide (2) green", (0, 1, 2)),
        ("Which?\n0. a title\nthat goes on\n1. another\n\n2. the last\nAnswer:", (0, 1, 2)),
        ("Which?\n0. one\n1. two\n3. four\nAnswer:", (0, 1, 3)),
        ("Which? 0. red 1. blue 2. green", (0, 1, 2)),
        ("Which?\nA) red\nB) blue\nC) green\nAnswer:", (0, 1, 2)),
        ("Which?\n- red\n- blue\nAnswer:", (0, 1)),
        ("Which?\nOptions:\nred\nblue\ngreen\nAnswer:", (0, 1, 2)),
        (
            "Reviews:\n0. good\n1. bad\n2. fine\n3. bad\n4. ok\nWhat do most say?\n0. good\n1. bad\nAnswer:",
            (0, 1),
        ),
        (
            "Reviews:\n1. good\n2. bad\n3. fine\n4. bad\n5. ok\nWhat do most say?\n0. good\n1. bad\nAnswer:",
            (0, 1),
        ),
        ("Is the 12.5 oz cup better than the 3. one?\nAnswer:", ()),
        ("Rate it on a scale from 0 to 5.\nAnswer:", (0, 1, 2, 3, 4, 5)),
    ],
)
def test_options_are_found_however_they_are_listed(prompt: str, numbers: tuple[int, ...]) -> None:
    assert classify(prompt, True).numbers == numbers


def test_candidates_are_told_from_actions_that_are_numbered_too() -> None:
    actions = numbered(1, count=3)
    prompt = f"Actions:\n{actions}\nSelect 3 of these queries.\n{N10}\nNumbers, with commas:"
    assert classify(prompt, False).numbers == tuple(range(1, 11))


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("Extract the entity of type 'brand', no more.\nQuery: acme lamp, red\nOutput:", "acme lamp, red"),
        ("What is the entity type 'TYPE' in product title 'Elf's lamp of oak'.", "Elf's lamp of oak"),
        (
            "「acme 赤いランプ」という商品名から色をそのまま抜き出し、カンマで区切ってください。",
            "acme 赤いランプ",
        ),
        ("Extrae la marca tal como está en «acme lámpara», con comas.", "acme lámpara"),
    ],
)
def test_the_text_that_entities_are_cited_from(prompt: str, text: str) -> None:
    assert classify(prompt, False).text == text


def test_other_types_cite_nothing() -> None:
    assert {classify(prompt, None).text for kind, prompt in CASES if kind != "named_entity_recognition"} == {
        ""
    }


@pytest.mark.parametrize(
    ("title", "language"),
    [
        ("Wooden desk lamp with a long cable and a switch", "en"),
        ("Tischlampe aus Holz mit langem Kabel und Schalter für das Büro", "de"),
        ("Lámpara de escritorio de madera con cable largo e interruptor", "es"),
        ("Lampe de bureau en bois avec un long câble et un interrupteur", "fr"),
        ("Lampada da scrivania in legno con cavo lungo e interruttore", "it"),
        ("木製デスクランプ 長いケーブルとスイッチ付き", "ja"),
    ],
)
def test_the_language_is_that_of_what_is_asked_about(title: str, language: str) -> None:
    assert (
        classify(
            f"Write a short search query for the product below.\nProduct: {title}\nOutput:", False
        ).language
        == language
    )


def test_no_text_breaks_it() -> None:
    for prompt in ("", " ", "\n", "0.", "'", "1" * 5000, "A" * 100_000, "0. \n1. \n", "「", "Output:"):
        assert classify(prompt, None).task_type in TaskType


@pytest.mark.parametrize(
    ("name", "told", "least"),
    [
        ("development-half.jsonl", True, 0.97),
        ("development-half.jsonl", False, 0.97),
        ("ecguide-sample.jsonl", True, 0.97),
        ("ecguide-sample.jsonl", False, 0.97),
    ],
)
def test_real_questions_are_told_apart(real: Path, name: str, told: bool, least: float) -> None:
    asked = read_questions(real / "shopbench" / name)
    right = [
        classify(question.prompt, question.is_multiple_choice if told else None).task_type
        is question.task_type
        for question in asked
    ]
    assert sum(right) / len(right) >= least


def test_what_is_read_admits_the_gold_answers_of_real_questions(real: Path) -> None:
    missing = []
    for question in read_questions(real / "shopbench" / "development-half.jsonl"):
        guess = classify(question.prompt, question.is_multiple_choice)
        if question.task_type is TaskType.RANKING:
            named = set(range(1, len(question.target) + 1))
        elif question.task_type is TaskType.NAMED_ENTITY_RECOGNITION:
            missing += [entity for entity in question.target if entity not in guess.text]
            continue
        else:
            named = {question.target} if isinstance(question.target, int) else set(question.target)
        if question.task_type is not TaskType.GENERATION and not named <= set(guess.numbers):
            missing.append(question.prompt)
    assert missing == []


def test_our_own_rows_are_told_apart(shop_run: Path) -> None:
    asked = read_questions(shop_run)
    wrong = [
        (question.task, json.dumps(question.prompt))
        for question in asked
        for flag in (question.is_multiple_choice, None)
        if classify(question.prompt, flag).task_type is not question.task_type
    ]
    assert len(wrong) <= 0.005 * 2 * len(asked), wrong[:5]
