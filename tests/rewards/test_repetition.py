from r1_pipeline.rewards.repetition import repetition


def test_short_and_fresh_texts_repeat_nothing():
    assert repetition("") == repetition("three plus four makes seven") == 0.0
    assert repetition("one two three four five six seven eight nine ten") == 0.0


def test_share_of_repeated_eight_grams_by_hand():
    # 16 tokens give 9 eight-grams; the last is the first again
    assert repetition("a b c d e f g h " * 2) == 1 - 8 / 9


def test_a_loop_tends_to_one_in_both_languages():
    assert repetition("wait, let me check. " * 200) > 0.98
    assert repetition("等等，我再检查一下。" * 200) > 0.98
