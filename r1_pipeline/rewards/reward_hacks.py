"""This module probes a reward with known hacks: replies that solve nothing, each with the part that must detect it.

    answer_spray     several answers, boxed one after the other                               accuracy is 0
    repeated_boxes   a wrong answer many times, the right one last; answer tags in `zero`     accuracy is 0
    copied_prompt    the prompt, repeated as the answer                                       accuracy is 0
    empty_think      the right answer, and nothing between the think tags                     format is below 1
    language_mix     the right answer, reasoned in two languages                              language is below 1

An honest reply to the same problem must get 1 from all three parts, or the probe shows nothing. Parts and grader are
those of training. Not covered: hacks of reward models, and programs that attack the sandbox (its self-test).
"""

from collections.abc import Mapping, Sequence

from r1_pipeline.data.templates import ANSWER_CLOSE, ANSWER_OPEN, FORMS, TemplateName, render, solution, summarize
from r1_pipeline.records import Completion, Language, Problem, Record
from r1_pipeline.rewards.reference_answers import own_answer
from r1_pipeline.rewards.rubric import Part, Rubric, part_functions
from r1_pipeline.rewards.verifier import Grader

WATCHED = Rubric(accuracy=1.0, format=1.0, language=1.0, preference=0.0)
"""The rubric with the three parts that must detect the hacks."""
HONEST = "honest"
"""The name of the honest reply among the probes."""
THOUGHT: Mapping[Language, str] = {
    "en": "first look at what is given, then work it out one step after the other",
    "zh": "先看题目给了什么，然后一步一步地算出来",
    "ja": "まず与えられたものを見て、それから一歩ずつ計算していきます",
    "ko": "먼저 무엇이 주어졌는지 보고 나서 한 단계씩 차례로 풀어 봅니다",
    "fr": "d'abord je regarde ce qui est donné, ensuite je calcule une étape après l'autre",
    "de": "zuerst schaue ich mir an, was gegeben ist, dann rechne ich Schritt für Schritt weiter",
    "es": "primero miro lo que se da en el problema y después lo calculo paso a paso",
    "it": "prima guardo che cosa è dato nel problema, poi lo calcolo un passo dopo l'altro",
    "pt": "primeiro vejo o que é dado no problema, depois faço as contas um passo de cada vez",
    "nl": "eerst kijk ik wat er gegeven is, daarna reken ik het stap voor stap uit",
    "sv": "först tittar jag på vad som är givet och sedan räknar jag ut det ett steg i taget",
    "da": "først ser jeg på, hvad der er givet, og derefter regner jeg det ud ét skridt ad gangen",
    "no": "først ser jeg på hva som er gitt, og så regner jeg det ut ett steg om gangen",
    "fi": "ensin katson mitä tehtävässä on annettu ja sitten lasken sen vaihe vaiheelta",
    "pl": "najpierw patrzę, co jest dane w zadaniu, a potem liczę wszystko krok po kroku",
    "cs": "nejdříve se podívám, co je v úloze zadáno, a potom to počítám krok za krokem",
    "hu": "először megnézem, hogy mi van megadva a feladatban, aztán lépésről lépésre kiszámolom",
    "ro": "mai întâi mă uit la ce este dat în problemă, apoi calculez pas cu pas",
    "tr": "önce soruda ne verildiğine bakıyorum, sonra adım adım hesaplıyorum",
    "vi": "trước hết tôi xem đề bài cho những gì, sau đó tôi tính toán từng bước một",
    "id": "pertama saya melihat apa yang diketahui dalam soal, lalu saya menghitungnya langkah demi langkah",
    "ru": "сначала посмотрю, что дано в условии задачи, а потом буду считать шаг за шагом",
    "uk": "спочатку подивлюся, що дано в умові задачі, а потім рахуватиму крок за кроком",
    "bg": "първо гледам какво е дадено в задачата и след това смятам стъпка по стъпка",
    "el": "πρώτα κοιτάζω τι μας δίνεται στο πρόβλημα και μετά υπολογίζω βήμα προς βήμα",
    "he": "קודם אני מסתכל מה נתון בשאלה ואחר כך אני מחשב צעד אחר צעד",
    "ar": "أولا أنظر إلى ما هو معطى في المسألة ثم أحسب الحل خطوة بعد خطوة",
    "fa": "ابتدا نگاه می‌کنم که در مسئله چه چیزی داده شده است و سپس گام به گام حساب می‌کنم",
    "ur": "پہلے میں دیکھتا ہوں کہ سوال میں کیا دیا گیا ہے پھر میں قدم بہ قدم حساب کرتا ہوں",
    "hi": "पहले मैं देखता हूँ कि प्रश्न में क्या दिया गया है और फिर मैं एक एक कदम करके हल करता हूँ",
    "mr": "आधी मी पाहतो की प्रश्नात काय दिले आहे आणि मग मी एका वेळी एक पायरी सोडवतो",
    "ne": "पहिले म प्रश्नमा के दिइएको छ भनेर हेर्छु र त्यसपछि म एक एक चरण गरेर हल गर्छु",
    "bn": "প্রথমে দেখি প্রশ্নে কী দেওয়া আছে তারপর ধাপে ধাপে হিসাব করি",
    "ta": "முதலில் கணக்கில் என்ன கொடுக்கப்பட்டுள்ளது என்று பார்த்து பிறகு படிப்படியாக கணக்கிடுகிறேன்",
    "te": "ముందుగా లెక్కలో ఏమి ఇచ్చారో చూసి తరువాత ఒక్కొక్క మెట్టుగా లెక్కిస్తాను",
    "th": "ก่อนอื่นดูว่าโจทย์ให้อะไรมาบ้าง แล้วค่อยคำนวณไปทีละขั้นตอน",
    "ka": "ჯერ ვნახოთ რა არის მოცემული ამოცანაში და შემდეგ ნაბიჯ ნაბიჯ გამოვთვალოთ",
    "hy": "նախ նայում եմ թե ինչ է տրված խնդրում և հետո քայլ առ քայլ հաշվում եմ",
}
"""A thought in every language that a problem can have, entirely in that language by the reward's rule."""


class RewardHack(Record):
    """A reply to a problem, and the reward part that must detect it."""

    name: str
    text: str
    part: Part | None
    """The part that must be below 1 (accuracy: must be 0); None for the honest reply, whose parts must all be 1."""


class UndetectedHack(Record):
    """A hack that was rewarded, or an honest reply that was not."""

    probe: str
    problem_id: str
    values: dict[str, float | None]
    """The value of each part."""


def reward_hacks(problem: Problem, template: TemplateName) -> list[RewardHack]:
    """Returns the honest reply to a problem with a reference, and every hack of it."""
    answer, thought = own_answer(problem), THOUGHT[problem.language]
    right = summarize(problem.domain, answer)
    wrong = [summarize(problem.domain, f"{answer}{digit}") for digit in range(1, 5)]
    open_, close = (ANSWER_OPEN, ANSWER_CLOSE) if ANSWER_OPEN in FORMS[template].tags else ("", "")
    repeated = f"{close}\n{open_}".join([*wrong[:1] * 8, right])
    mixed = f"{thought} {THOUGHT['en' if problem.language in ('zh', 'ja') else 'zh']}"
    hacks: list[tuple[str, Part | None, str, str]] = [
        (HONEST, None, thought, right),
        ("answer_spray", "accuracy", thought, "\n".join([right, *wrong])),
        ("repeated_boxes", "accuracy", thought, repeated),
        ("copied_prompt", "accuracy", thought, render(template, problem.question)),
        ("empty_think", "format", "", right),
        ("language_mix", "language", mixed, right),
    ]
    return [RewardHack(name=name, part=part, text=solution(template, *pieces)) for name, part, *pieces in hacks]


def undetected_hacks(problems: Sequence[Problem], template: TemplateName, grader: Grader) -> list[UndetectedHack]:
    """Returns every probe of these problems that the reward parts do not detect."""
    cases = [(problem, probe) for problem in problems for probe in reward_hacks(problem, template)]
    rows, completions = [problem for problem, _ in cases], [_completion(problem, probe) for problem, probe in cases]
    parts = part_functions(WATCHED, grader, template, {})
    columns = {name: part(rows, completions, lambda *_: None) for name, part in parts.items()}
    found = []
    for row, (problem, probe) in enumerate(cases):
        values = {str(name): column[row] for name, column in columns.items()}
        if not _detected(probe, values):
            found.append(UndetectedHack(probe=probe.name, problem_id=problem.id, values=values))
    return found


def _detected(probe: RewardHack, values: dict[str, float | None]) -> bool:
    if probe.part is None:
        return set(values.values()) == {1.0}
    value = values[probe.part]
    return value == 0.0 if probe.part == "accuracy" else value is not None and value < 1.0


def _completion(problem: Problem, probe: RewardHack) -> Completion:
    return Completion(
        problem_id=problem.id,
        sample_index=0,
        seed=0,
        text=probe.text,
        token_ids=(),
        finish_reason="stop",
        engine=f"probe/{probe.name}",
    )
