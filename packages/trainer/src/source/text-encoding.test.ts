/** Which encoding a caption is in; the bytes were written by Python's codecs. */
import { expect, test } from "vitest";
import { readWords } from "../dataset/captions/captions.ts";
import { decodeText } from "./text-encoding.ts";

const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex, "hex"));

test.each([
  ["UTF-16LE", "a red square", "610020007200650064002000730071007500610072006500"],
  ["UTF-16LE", "кот идёт", "3a043e04420420003804340451044204"],
  ["UTF-16BE", "a red square", "006100200072006500640020007300710075006100720065"],
  ["UTF-16BE", "кот идёт", "043a043e044200200438043404510442"],
  [
    "UTF-32LE",
    "a red square",
    "610000002000000072000000650000006400000020000000730000007100000075000000610000007200000065000000",
  ],
  ["UTF-32LE", "кот идёт", "3a0400003e040000420400002000000038040000340400005104000042040000"],
  [
    "UTF-32BE",
    "a red square",
    "000000610000002000000072000000650000006400000020000000730000007100000075000000610000007200000065",
  ],
  ["UTF-32BE", "кот идёт", "0000043a0000043e000004420000002000000438000004340000045100000442"],
  ["UTF-16LE", "一个红色", "004e2a4ea27e7282"],
  ["ISO-2022-JP", "赤い四角", "1b2442405624243b4d33511b2842"],
  ["UTF-8", "café 猫", "efbbbf636166c3a920e78cab"],
  ["UTF-16LE", "café 猫", "fffe630061006600e90020002b73"],
  ["UTF-32LE", "café 猫", "fffe0000630000006100000066000000e9000000200000002b730000"],
  ["UTF-16BE", "café", "feff00630061006600e9"],
  ["UTF-8", "café 一个", "636166c3a920e4b880e4b8aa"],
  ["UTF-8", "", ""],
])("%s is certain: %s", (encoding, text, hex) => {
  expect(decodeText(bytesOf(hex))).toEqual({ text, encoding, isCertain: true });
});

test.each([
  ["Windows-1252", "it’s a “nice” café – 5 €", "69749273206120936e6963659420636166e9209620352080"],
  ["Windows-1252", "café", "636166e9"],
  ["Windows-1252", "größe", "6772f6df65"],
  [
    "Windows-1252",
    "une fille près de l’église, où elle rêve",
    "756e652066696c6c65207072e873206465206c92e9676c6973652c206ff920656c6c652072ea7665",
  ],
  ["Windows-1252", "“quoted”", "9371756f74656494"],
  ["Windows-1252", "20 °C outside", "323020b043206f757473696465"],
  ["Windows-1252", "¿Qué pasa?", "bf5175e920706173613f"],
  ["Windows-1252", "São Paulo à noite", "53e36f205061756c6f20e0206e6f697465"],
  ["GB 18030", "一个红色的方块向右移动", "d2bbb8f6baecc9abb5c4b7bdbfe9cff2d3d2d2c6b6af"],
  ["GB 18030", "一只猫", "d2bbd6bbc3a8"],
  ["GB 18030", "TOK，一个机器人在走路", "544f4ba3acd2bbb8f6bbfac6f7c8cbd4dad7dfc2b7"],
  ["GB 18030", "城市夜景", "b3c7cad0d2b9beb0"],
  ["Shift JIS", "赤い四角が右に動く", "90d482a28e6c8a7082aa894582c993ae82ad"],
  ["Shift JIS", "青い空", "90c282a28bf3"],
  ["Shift JIS", "ネコ", "836c8352"],
  ["Shift JIS", "TOK 赤いボール", "544f4b2090d482a2837b815b838b"],
  ["EUC-JP", "猫が走る", "c7ada4acc1f6a4eb"],
  ["EUC-JP", "ネコがジャンプする", "a5cda5b3a4aca5b8a5e3a5f3a5d7a4b9a4eb"],
  [
    "EUC-KR",
    "빨간 사각형이 오른쪽으로 움직인다",
    "bba1b0a320bbe7b0a2c7fcc0cc20bfc0b8a5c2cac0b8b7ce20bff2c1f7c0ceb4d9",
  ],
  ["EUC-KR", "파란 하늘", "c6c4b6f520c7cfb4c3"],
  ["Big5", "一個紅色的方塊向右移動", "a440add3acf5a6e2aabaa4e8b6f4a656a56bb2beb0ca"],
  ["Big5", "藍天白雲", "c2c5a4d1a5d5b6b3"],
  ["Windows-1251", "красный квадрат", "eaf0e0f1edfbe920eae2e0e4f0e0f2"],
  ["Windows-1251", "Кошка прыгает", "caeef8eae020eff0fbe3e0e5f2"],
  ["Windows-1251", "КРАСНЫЙ КУБ", "cad0c0d1cddbc920cad3c1"],
  ["Windows-1251", "снег", "f1ede5e3"],
  ["Windows-1251", "дівчина біжить", "e4b3e2f7e8ede020e1b3e6e8f2fc"],
  ["KOI8-R", "красный квадрат", "cbd2c1d3ced9ca20cbd7c1c4d2c1d4"],
  ["IBM866", "девушка идёт по улице", "a4a5a2e3e8aaa020a8a4f1e220afae20e3aba8e6a5"],
  ["Windows-1253", "ένα κόκκινο τετράγωνο", "ddede120eafceaeae9edef20f4e5f4f1dce3f9edef"],
  ["Windows-1255", "חתול רץ ברחוב", "e7fae5ec20f8f520e1f8e7e5e1"],
  ["Windows-1256", "مربع أحمر يتحرك إلى اليمين", "e3d1c8da20c3cde3d120edcacdd1df20c5e1ec20c7e1ede3ede4"],
  ["Windows-874", "แมววิ่งบนถนน", "e1c1c7c7d4e8a7bab9b6b9b9"],
  [
    "Windows-1250",
    "dziewczyna biegnie przez łąkę",
    "647a696577637a796e6120626965676e69652070727a657a20b3b96bea",
  ],
  ["Windows-1250", "červený čtverec se pohybuje", "e8657276656efd20e874766572656320736520706f687962756a65"],
  ["Windows-1254", "kırmızı bir kare sağa doğru", "6bfd726dfd7afd20626972206b617265207361f06120646ff07275"],
])("%s is told from the others: %s", (encoding, text, hex) => {
  expect(decodeText(bytesOf(hex))).toEqual({ text, encoding, isCertain: false });
});

test("every byte of Windows-1252 is read as that, and never as a control character", () => {
  const bytes = Uint8Array.from([...Buffer.from("it"), 0x92, ...Buffer.from("s "), 0x85, 0x20, 0x9f]);
  expect(readWords(bytes)).toEqual({
    text: "it\u2019s \u2026 \u0178",
    note: "not UTF-8, read as Windows-1252: save it as UTF-8 if the words are wrong",
  });
});

test("UTF-8 with a damaged character keeps its words, and says so", () => {
  const bytes = Buffer.from("красный квадрат");
  expect(readWords(bytes.subarray(0, bytes.length - 1))).toEqual({
    text: "красный квадра",
    note: "not UTF-8, read as UTF-8 with damaged characters: save it as UTF-8 if the words are wrong",
  });
});

test("what is no text gives no words", () => {
  const noise = Uint8Array.from({ length: 400 }, (_, index) => (index * index * 7 + (index >> 3)) & 0xff);
  expect(noise.includes(0)).toBe(true);
  expect(readWords(noise)).toEqual({ text: "", note: "not a text file, so it is not used" });
});
