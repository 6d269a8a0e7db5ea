"""The phrases that tell what an instruction asks for: a number, an order, a quote; one pattern each.

Each takes English, German, Spanish, French, Italian and Japanese, in this order. They are looked for in
the instruction alone: a shop's own text may say anything.
"""

import re


def _phrases(*latin: str, ja: str) -> re.Pattern[str]:
    """Any of the patterns, one a language; all but Japanese ones have to begin a word."""
    return re.compile(rf"(?<![A-Za-zÀ-ɏ])(?:{'|'.join(latin)})|{ja}", re.IGNORECASE)


ORDER = _phrases(
    r"(?:re-?)?rank|sort\b|permut|re-?order\b|order (?:the|these|them|those|all|by)\b"
    r"|arrange (?:the|these|them|all)\b|best \w* ?first|which last"
    r"|in (?:that|this|the|which|what|their|descending|decreasing|falling|an?) (?:\w+ )?order\b(?! to)"
    r"|(?:put|place|arrange|list|bring)\b[^.\n]{0,60} in (?:\w+ )?order\b(?! to)"
    r"|order of (?:\w+ )?(?:relevance|preference)"
    r"|(?:most|best|highest)[^.\n]{0,40} to (?:the )?(?:least|worst|lowest)",
    r"sortier|ordne|anordn|reihenfolge|rangfolge|rangliste",
    r"ord[eé]n[ae]|clasifi[cq]|jerarqui|(?:en )?(?:qu[eé]|ese|este|dicho) orden|por orden",
    r"class(?:e[zr]?\b|ement)|tri(?:e[zr]?)\b|ordonne|(?:par|quel|cet) ordre",
    r"ordina|classifica|(?:in|quale|che|quest)\W?\s?ordine|graduatoria",
    ja="並[べびん]|(?:順番?|順位|順序)(?:に|で|を|：|:)|ランキング|ランク付け",
)
"""All candidates, in an order."""

NUMBER = _phrases(
    r"(?:numbers?|ind(?:ex|ices|exes)|ids|digits?|letters?)\b",
    r"(?:nummern?|zahl(?:en)?|ziffern?|ind(?:ex|izes))\b",
    r"(?:n[uú]meros?|[ií]ndices?|d[ií]gitos?|cifras?)\b",
    r"(?:num[eé]ros?|chiffres?)\b",
    r"(?:numer[oi]|indic[ei]|cifr[ae])\b",
    ja="番号|数字",
)
"""A number, or several."""

COMMAS = _phrases(
    r"commas?\b",
    r"komma(?:s|ta)?\b|kommagetrennt",
    r"comas?\b",
    r"virgules?\b",
    r"virgol[ae]\b",
    ja="カンマ|コンマ|読点",
)

SEVERAL = _phrases(
    r"(?:indices|indexes|ids)\b|(?:two|three|2|3) (?:\w+ )?(?:numbers|digits)\b"
    r"|(?:select|choose|pick|find|keep|identify|name|give|list|output)\W+(?:\w+\W+){0,3}?(?:two|three|2|3)\b",
    r"(?:indizes|nummern)\b|(?:zwei|drei|2|3) (?:zahlen|ziffern)\b"
    r"|w[aä]hlen? (?:\w+ ){0,3}?(?:zwei|drei|2|3)\b",
    r"(?:n[uú]meros|[ií]ndices)\b"
    r"|(?:elige|elija|selecciona|seleccione|escoge) (?:\w+ ){0,3}?(?:dos|tres|2|3)\b",
    r"(?:num[eé]ros|indices)\b|(?:chois\w+|s[eé]lectionn\w+) (?:\w+ ){0,3}?(?:deux|trois|2|3)\b",
    r"(?:numeri|indici)\b|(?:scegli\w*|selezion\w+) (?:\w+ ){0,3}?(?:due|tre|2|3)\b",
    ja="[2-3２-３二三](?:個|つ|件|点)(?:を|だけ)?(?:選|挙げ|見つけ)",
)
"""More than one of what is listed."""

PICK = _phrases(
    r"which\b|select|choose|choice|pick\b|options?\b",
    r"welche|w[aä]hl|option",
    r"cu[aá]l|elige|elija|selecci[oó]n|escoge|escoja|opci[oó]n",
    r"quel|lequel|laquelle|chois|s[eé]lectionn|option",
    r"qual[ei]|scegli|selezion|opzion",
    ja="どれ|どの|いずれ|選",
)
"""Something of what is listed."""

REASONING = _phrases(
    r"(?:let[’']?s )?think step[ -]by[ -]step|show your (?:reasoning|work)"
    r"|step[ -]by[ -]step (?:reasoning|solution)",
    r"schritt f[uü]r schritt",
    r"paso a paso",
    r"[eé]tape par [eé]tape|pas à pas",
    r"passo (?:dopo|per) passo",
    ja="段階的に考え|順を追って|ステップバイステップ|一歩ずつ",
)
"""The way to the answer, written out."""

TEXT = _phrases(
    r"(?:write|compose|draft|generate|create|give|supply)\b[^.\n]{0,60}\b(?:title|sentence|summary|review"
    r"|description|phrase|heading|headline|explanation|query)"
    r"|summari[sz]e\b|sum (?:it|them) up|translate|explain\b|elaborate|paraphrase|rephrase|re-?write",
    r"[uü]bersetz|fasse\b|erkl[aä]r|schreiben? sie|schreibe?\b|formulier",
    r"traduc|traduzca|resum[ea]|explica\b|explique\b|redact[ae]|escriba? (?:un|el|la)",
    r"tradui|r[eé]sume|expliqu|r[eé]dige",
    r"traduc|riassum|spiega\b|scrivi (?:un|il|la)",
    ja="翻訳|訳して|要約|書いてください|作ってください",
)
"""A text of one's own."""

YES_OR_NO = _phrases(
    r"['\"“]?yes['\"”]?\b[^\n]{0,100}?\b['\"“]?no\b",
    r"ja oder nein",
    r"s[ií] o no\b",
    r"oui ou non",
    r"s[iì] o no\b",
    ja="はい[」か、またはも]{1,4}「?いいえ",
)

RATING = _phrases(
    r"scale|rat(?:e|ing)\b|scor(?:e|ing)\b|evaluate|stars?\b|assess|grade\b",
    r"skala|bewert|sterne?\b",
    r"escala|califi|punt[uú]a|puntuaci|eval[uú]a|valora|estrella",
    r"[eé]chelle|note[zr]?\b|[eé]valu|[eé]toiles?\b",
    r"scala|valuta|punteggio|stell[ae]\b",
    ja="段階|評価|点数|星",
)

ENTITY = _phrases(
    r"(?:named[- ])?entit(?:y|ies)\b",
    r"entit[aä]t",
    r"entidad",
    r"entit[eé]",
    r"entit[aà]",
    ja="固有表現|エンティティ",
)
"""Words of a kind that has a name."""

QUOTE = _phrases(
    r"cop(?:y|ied)\b|cited?\b|verbatim|word for word|exactly as|just as\b"
    r"|as (?:it|they) (?:is|are|stands?|appears?)\b"
    r"|(?:find|identify|give|list|name|output) (?:the |all |any )*(?:words?|phrases?|terms?|spans?)\b"
    r"|spelled as|as (?:typed|written|spelled)\b|keep the spelling|extract|pull out|pick out|tag\b|label\b"
    r"|identify and list",
    r"w[oö]rtlich|genau (?:so|wie)|unver[aä]ndert|extrahier|kopier|entnimm|entnehmen",
    r"tal (?:como|cual)|exactamente como|igual que|sin cambiar|mismas letras|extra[ei]|c[oó]pi",
    r"tel(?:le)?s? que|mot pour mot|exactement comme|extrai|copie",
    r"cos[iì] come|alla lettera|testual|esattamente come|estra[ei]|copia",
    ja="そのまま|とおり|通り|表記を変え|抜き出|抽出",
)
"""Words as they stand in a text."""

KIND = _phrases(
    r"(?:brand|colou?r|size|material|quantity|attribute|model|product type|type of product)s?\b",
    r"marken?\b|farben?\b|gr[oö][sß]+en?\b|material|menge|attribut|modell|produktart|produkttyp",
    r"marcas?\b|color(?:es)?\b|tallas?\b|tama[nñ]o|material|cantidad|atributo|modelo|tipo de producto",
    r"marques?\b|couleurs?\b|tailles?\b|mati[eè]re|quantit[eé]|attribut|mod[eè]le|type de produit",
    r"march(?:io|i)\b|color[ei]\b|tagli[ae]\b|material|quantit[aà]|attribut|modell[oi]|tipo di prodotto",
    ja="ブランド|色|サイズ|素材|数量|属性|型番|商品の種類",
)
"""What entities of a shop's text are of."""

QUOTE_KIND = re.compile(rf"(?:{QUOTE.pattern})[^.\n。]{{0,40}}?(?:{KIND.pattern})", re.IGNORECASE)
"""Words of a kind, as they stand in a text: `Copy the color`."""

KIND_IN_TEXT = _phrases(
    r"(?:which|what)(?: is| are)?(?: the)? (?:brand|colou?r|size|material|product type)s?\b"
    r"[^\n]{0,40}\b(?:title|query|text)\b"
    r"|(?:what|which|determine|locate|identify|find|choose|pinpoint|extract|list|name)\b[^\n]{0,80}?"
    r"['\"‘“«][\w -]{2,30}['\"’”»][^\n]{0,40}?"
    r"\b(?:in|from|of|mentioned)\b[^\n]{0,40}?\b(?:title|query|text|name)\b"
    r"|(?:identify|find|locate|list|name)(?: (?:the|any|all|every|each))? "
    r"(?:brand|colou?r|size|material|product type)s?\b(?: \w+){0,2} (?:in|from|of) [^.\n]{0,30}"
    r"\b(?:title|query|text)\b",
    r"(?:welche[rs]?|nenne|finde|gib|identifiziere)\b[^.\n]{0,40}\b(?:marken?|farben?|gr[oö](?:ß|ss)en?"
    r"|material(?:ien)?|produktart)\b[^\n]{0,40}\b(?:titel|suchanfrage|w[oö]rtlich|genau (?:so|wie))\b",
    r"(?:qué|cuál|indica|encuentra|identifica|se[nñ]ala)\b[^.\n]{0,20}\b(?:marcas?|color(?:es)?|tallas?"
    r"|tama[nñ]os?|material(?:es)?|tipo de producto)\b[^.\n]{0,40}\b(?:t[ií]tulo|b[uú]squeda)\b",
    r"(?:quell?e?s?|indique[rz]?|trouve[rz]?|identifie[rz]?|donne[rz]?)\b[^.\n]{0,20}\b(?:marques?|couleurs?"
    r"|tailles?|mati[eè]res?|type de produit)\b[^.\n]{0,40}\b(?:titre|requ[eê]te|recherche)\b",
    r"(?:qual[ei]?|indica|trova|individua|identifica)\b[^.\n]{0,20}\b(?:march(?:io|i|e)|marca|color[ei]"
    r"|tagli[ae]|material[ei]|tipo di prodotto)\b[^.\n]{0,40}\b(?:titolo|ricerca)\b",
    ja="(?:ブランド|色|サイズ|素材|数量|型番|商品の種類)名?(?:だけ)?を[^\n。]{0,12}(?:抜き出|抽出|そのまま(?:書|答))",
)
"""A kind, and where its words stand: `Locate the 'NAME' in the title`, `List every color of the query`."""

RANGE = re.compile(
    r"(?<![\d.,])([0-9])\s*(?:to|and|-|–|bis|und|a|al|y|à|et|e|~|〜|～|から)\s*"
    r"(?:the )?([0-9])(?![\d.,]*\d)",
    re.IGNORECASE,
)
"""A scale's ends: `1 to 5`."""
