"""Encodings that a file does not say: found where one alone makes sense, else refused with what each would give."""

import io

import pytest

from crdt_sync.errors import InvalidTable
from crdt_sync.exchange.encodings import find_encoding
from crdt_sync.exchange.text import Lines


def found(content: bytes):
    return find_encoding(io.BytesIO(content), None)


@pytest.mark.parametrize(
    ("text", "encoding", "codec"),
    [
        ("Name,Notes\n王小明,备注:好\n李雷,搜索\n韩梅梅,全文\n", "gbk", "gb18030"),
        ("姓名,公司\n张三,某某公司\n", "gb18030", "gb18030"),
        ("姓名,公司,地址\n陳大文,台灣公司,台北市信義區\n林小美,電腦,高雄市\n", "big5", "big5"),
        ("Name,Phone\n山田太郎,03-1\n佐藤花子,03-2\n", "shift_jis", "cp932"),
        ("お名前,メール\nやまだ,x\n", "shift_jis", "cp932"),
        ("Name;Ort\nMüller;Köln\nWeiß;Düsseldorf\n", "cp1252", "cp1252"),
        ("Name,City\nJosé Ñandú,São Paulo\nÉmile,Besançon\n", "cp1252", "cp1252"),
        ("Name;Preis\nMaier;5 €\n", "cp1252", "cp1252"),
        ("Имя,Город\nИван Петров,Москва\n", "cp1251", "cp1251"),
        ("Name,City\nŁukasz Żak,Łódź\n", "cp1250", "cp1250"),
        ("お名前,電話番号\nやまだたろう,03-1\nサトウ,03-2\n", "euc_jp", "euc_jp"),
        ("氏名,住所\n山田太郎,東京都\n", "iso2022_jp", "iso2022_jp"),
        ("Όνομα,Πόλη\nΓιώργος Παπαδόπουλος,Αθήνα\n", "cp1253", "cp1253"),
        ("Name,City\nRenée MÜLLER,CAFÉ\nÉmile,Besançon\n", "cp1252", "cp1252"),
    ],
)
def test_the_encoding_that_alone_makes_sense_is_taken_and_called_a_guess(text, encoding, codec):
    encoded = found(text.encode(encoding))
    assert (encoded.codec, encoded.guessed) == (codec, True)
    assert text.encode(encoding).decode(encoded.codec) == text


@pytest.mark.parametrize(
    ("text", "encoding", "other"),
    [
        ("Name;Ort\nMüller;Köln\n", "mac_roman", "cp1250"),
        ("氏名,住所\n山田太郎,東京都千代田区\n", "euc_jp", "gb18030"),
        ("Ad,Şehir\nAyşe Güneş,İstanbul\n", "cp1254", "cp1250"),
        ("שם,עיר\nדוד כהן,תל אביב\n", "cp1255", "cp1251"),
    ],
)
def test_where_two_make_sense_both_are_named(text, encoding, other):
    with pytest.raises(InvalidTable) as caught:
        found(text.encode(encoding))
    assert all(f"as {codec} a line of it reads" in caught.value.message for codec in (encoding, other))
    line = next(line for line in text.splitlines() if not line.isascii())
    assert line[-3:] in caught.value.message


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Имя,Город\nИван Петров,Москва\n", "koi8_r"),
        ("Имя,Город\nИван Петров,Москва\n", "cp866"),
        ("Name;Ort\nMüller;Köln\nGroß;Würzburg\n", "cp850"),
        ("ชื่อ,เมือง\nสมชาย,กรุงเทพ\n", "cp874"),
        ("الاسم,المدينة\nمحمد علي,القاهرة\n", "cp1256"),
    ],
)
def test_an_encoding_that_is_not_known_here_is_not_taken_for_another(text, encoding):
    assert found(text.encode(encoding)).codec == "utf-8"  # each of its lines is refused by itself


def test_utf_8_needs_no_guess_and_one_broken_line_does_not_change_that():
    assert found("王,ü\n".encode()).how == "utf-8"
    assert found("Müller\n".encode() + b"M\xfcller\n").how == "utf-8"


@pytest.mark.parametrize("text", ["Name;Notiz\nAnna;Notiz ä 1\nÄ;x\n", "Name\nÄ\n", "Straße;Nr\nA;7 à\nB;É.\n"])
def test_a_letter_that_stands_alone_is_one_of_windows(text):
    assert found(text.encode("cp1252")).codec == "cp1252"


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("Müller;ÿ\n".encode("cp1252"), "likely --encoding cp1252: then it reads 'Müller;ÿ'"),
        ("Иван;Петров\n".encode("koi8_r"), "--encoding"),
        ("Müller\n".encode("cp850"), "--encoding"),
    ],
)
def test_a_line_that_is_not_utf_8_names_what_is_likely(line, advice):
    lines = Lines(io.BytesIO(line), "utf-8")
    list(lines)
    assert lines.bad[1].endswith(advice)


def test_an_encoding_that_cannot_be_told_is_refused_with_what_each_would_give():
    korean = "이름,회사\n김철수,서울\n".encode("euc_kr")
    with pytest.raises(InvalidTable) as caught:
        found(korean)
    assert "as euc_kr a line of it reads '이름,회사'" in caught.value.message
    assert "as gb18030" in caught.value.message
    assert "--encoding" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("이름,주소\n김철수,서울시 강남구\n", "euc_kr"),
        ("고객번호,이름,도시\n1,홍길동,부산\n", "euc_kr"),
        ("氏名,住所\n山田太郎,東京都千代田区\n", "euc_jp"),
        ("氏名,住所\nやまだ,トウキョウ\n山田 花子,大阪市の北\n", "euc_jp"),
        ("Ad,Şehir\nAyşe Güneş,İstanbul\n", "cp1250"),
    ],
)
def test_the_example_of_an_encoding_is_the_likeliest_one(text, encoding):
    with pytest.raises(InvalidTable) as caught:
        found(text.encode("cp1254" if encoding == "cp1250" else encoding))
    assert caught.value.hint.endswith(f"for example --encoding {encoding}.")


@pytest.mark.parametrize("content", [b"a\n\xff\n", b"a\n\x81\x8d\x8f\n", bytes(range(128, 256)) + b"\n"])
def test_bytes_that_make_sense_in_no_encoding_are_never_taken_for_text(content):
    assert found(content).codec == "utf-8"


def test_the_encoding_is_found_however_late_the_first_letter_stands():
    late = b"name\n" + b"x\n" * 200_000 + "Müller\n".encode("cp1252")
    assert found(late).codec == "cp1252"


def test_a_given_encoding_is_not_doubted():
    assert find_encoding(io.BytesIO("Müller".encode("cp1252")), "big5").how == "given"
