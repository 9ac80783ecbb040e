"""Reading a symbol back from its picture: as much of the two standards as the small symbols of codes need."""

import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

NAMESPACE = "{http://www.w3.org/2000/svg}"
QUIET_BARS, QUIET_QR = 10, 4


def path_of(picture: str) -> str:
    """The dark path of a picture that has nothing but two paths."""
    root = ET.fromstring(picture)
    assert root.tag == f"{NAMESPACE}svg"
    assert [child.tag for child in root.iter()][1:] == [f"{NAMESPACE}path"] * 2, picture
    assert not any(name.lower().startswith("on") or "href" in name for child in root.iter() for name in child.attrib)
    assert all((child.text or "").strip() == "" for child in root.iter())
    return root[1].attrib["d"]


def modules_of_bars(picture: str) -> str:
    """The modules of a barcode from left to right, without the quiet zones; dark is 1."""
    width = int(ET.fromstring(picture).attrib["viewBox"].split()[2])
    dark = [0] * width
    for left, run in re.findall(r"M(\d+) 0h(\d+)", path_of(picture)):
        for place in range(int(left), int(left) + int(run)):
            dark[place] = 1
    assert not any(dark[:QUIET_BARS]) and not any(dark[-QUIET_BARS:])
    return "".join(map(str, dark[QUIET_BARS:-QUIET_BARS]))


def read_code_128(modules: str) -> str:
    """The digits of a Code 128 symbol in set C, perhaps with a last one in set B; its check symbol and its stop are right."""
    assert modules.endswith("1100011101011")
    symbols = [PATTERNS.index(modules[n : n + 11]) for n in range(0, len(modules) - 13, 11)]
    *content, check = symbols
    assert content[0] == START_C
    assert check == (content[0] + sum(n * value for n, value in enumerate(content[1:], 1))) % 103
    assert all(value < 100 for value in content[1:])
    return "".join(f"{value:02}" for value in content[1:])


START_C = 105
WIDTHS = (
    "212222222122222221121223121322131222122213122312132212221213221312231212112232122132122231113222123122123221"
    "223211221132221231213212223112312131311222321122321221312212322112322211212123212321232121111323131123131321"
    "112313132113132311211313231113231311112133112331132131113123113321133121313121211331231131213113213311213131"
    "311123311321331121312113312311332111314111221411431111111224111422121124121421141122141221112214112412122114"
    "122411142112142211241211221114413111241112134111111242121142121241114212124112124211411212421112421211212141"
    "214121412121111143111341131141114113114311411113411311113141114131311141411131211412211214211232"
)


def _patterns() -> list[str]:
    made = []
    for n in range(0, len(WIDTHS), 6):
        widths = WIDTHS[n : n + 6]
        made.append("".join("10"[place % 2] * int(width) for place, width in enumerate(widths)))
    return made


PATTERNS = _patterns()


def matrix_of_qr(picture: str) -> list[list[int]]:
    """The modules of a QR code, row by row, without the quiet zone; dark is 1."""
    size = int(ET.fromstring(picture).attrib["viewBox"].split()[2])
    dark = [[0] * size for _ in range(size)]
    x = y = 0.0
    for verb, numbers in re.findall(r"([Mmh])([-\d. ]+)", path_of(picture)):
        given = [float(number) for number in re.findall(r"-?[\d.]+", numbers)]
        if verb == "h":
            for place in range(int(x), int(x + given[0])):
                dark[int(y)][place] = 1
            x += given[0]
        else:
            x, y = (given[0], given[1]) if verb == "M" else (x + given[0], y + given[1])
    assert not any(map(any, dark[:QUIET_QR])) and not any(row[0] for row in dark)
    return [row[QUIET_QR:-QUIET_QR] for row in dark[QUIET_QR:-QUIET_QR]]


MASKS: tuple[Callable[[int, int], bool], ...] = (
    lambda r, c: (r + c) % 2 == 0,
    lambda r, c: r % 2 == 0,
    lambda r, c: c % 3 == 0,
    lambda r, c: (r + c) % 3 == 0,
    lambda r, c: (r // 2 + c // 3) % 2 == 0,
    lambda r, c: r * c % 2 + r * c % 3 == 0,
    lambda r, c: (r * c % 2 + r * c % 3) % 2 == 0,
    lambda r, c: ((r + c) % 2 + r * c % 3) % 2 == 0,
)


def read_qr(matrix: list[list[int]]) -> str:
    """The digits in a QR code of version 1: unmasked, taken in the order of the standard, and read as one numeric segment."""
    assert len(matrix) == 21
    form = int("".join(str(matrix[8][c]) for c in (0, 1, 2, 3, 4)), 2) ^ 0b10101
    mask = MASKS[form & 7]
    bits: list[int] = []
    for step, right in enumerate((20, 18, 16, 14, 12, 10, 8, 5, 3, 1)):
        rows = range(20, -1, -1) if step % 2 == 0 else range(21)
        places = ((row, column) for row in rows for column in (right, right - 1) if not _is_function(row, column))
        bits.extend(matrix[row][column] ^ mask(row, column) for row, column in places)
    text = "".join(map(str, bits))
    assert text[:4] == "0001", "a numeric segment"
    count, place, digits = int(text[4:14], 2), 14, ""
    while len(digits) < count:
        group = min(3, count - len(digits))
        length = (4, 7, 10)[group - 1]
        digits += f"{int(text[place : place + length], 2):0{group}}"
        place += length
    return digits


def _is_function(row: int, column: int) -> bool:
    """Whether a module belongs to a finder, the timing or the format."""
    in_corner = (row < 9 and column < 9) or (row < 9 and column > 12) or (row > 12 and column < 9)
    return in_corner or row == 6 or column == 6
