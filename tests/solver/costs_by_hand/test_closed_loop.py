"""The closed loop, worked out by hand from docs/costs.md, section 4.

One token in one layer takes 2·(600 + 3,000) = 7,200 s of matrices on a card of 1 FLOP/s; a query-key pair takes
2·4·10 = 80 s, a sequence's logits 2·10·100 = 2,000 s. Of the iterations, s = b/E[O]·j carry a chunk where b sequences
bring prompts; the others only decode.
"""

from __future__ import annotations

from costs_by_hand import DENSE, MEMORY_ONLY, changed, figures, priced, scenario
from serving_by_hand import CHOICE, CLOSED, RATES, TIMES, TWO_LAYERS, near, scene


def test_on_one_gpu() -> None:
    # B = 4, U = 8: two chunks of 4; X = 8 + 5 = 13. Eager layers take 100 more where there are prompt tokens.
    # decode: a layer 28,800 + 80·52 = 32,960; head 8,000: 73,920.
    # full: T 8, pairs 32/2: a layer 57,600 + 1,280 + 4,160 + 100; head 5·2,000: 136,280.
    # mixed: s = 0.4·2: 0.2·73,920 + 0.8·136,280 = 123,808.
    # others: s = 0.3·2: 0.4·73,920 + 0.6·136,280 = 111,336.
    # TTFT: 5 + 2·136,280 + (0.5/10)·4·2·(136,280 − 73,920) = 5 + 272,560 + 24,944.
    row = priced(scene(TWO_LAYERS, CLOSED, latencies={"eager_layer": 100, "startup": 5}), 8)
    assert figures(row, *TIMES) == near(297_509, 297_509, 111_336, 297_509 + 9 * 111_336)
    assert figures(row, *RATES) == near(0.4 / 123_808, 4 / 123_808, 3.2 / 123_808)
    assert figures(row, *CHOICE) == (4, 1, 4, 8, 1)
    # it carries 4 + 4·8/10 tokens
    assert figures(row, "budget_spare", "kv_cache") == near(8 - 7.2, 4 * 40 * 18 * 2)


def test_later_chunks_read_the_prefix_again() -> None:
    # The same, bound by memory: 1,200 + 6,000 B of weights in a layer, cache 52·40 = 2,080 B, head 2,000.
    # decode: 2·9,280 + 2,000 = 20,560. full: prefix (8·1/2)/2·40 = 80: 20,720.
    # mixed 0.2·20,560 + 0.8·20,720 = 20,688; others 0.4·20,560 + 0.6·20,720 = 20,656. TTFT 2·20,720 + 0.4·160.
    row = priced(scenario(TWO_LAYERS, CLOSED, card=MEMORY_ONLY), 8)
    assert figures(row, "tpot", "output_rate", "ttft") == near(20_656, 4 / 20_688, 41_504)


def test_uneven_prompts() -> None:
    # Prompts of 5 to 11: mean 8, E[I²] 36/12 + 64 = 67; answers of 5 to 15; one layer, no head; one request each.
    # decode 28,800 + 4,160 = 32,960. full at 8: two chunks of 4, pairs 33.5/2: 57,600 + 1,340 + 4,160 = 63,100.
    # mixed 0.2·32,960 + 0.8·63,100 = 57,072; others 0.4·32,960 + 0.6·63,100 = 51,044.
    # full at 11: three equal chunks, T = 4 + 11/3, pairs 60.5/3: 55,200 + 80·60.5/3 + 4,160.
    lengths = {"input_tokens": {"min": 5, "max": 11}, "output_tokens": {"min": 5, "max": 15}}
    load = {**CLOSED, **lengths, "requests_per_client": 1}
    row = priced(scene(DENSE, load), 8)
    longest = 59_360 + 80 * 60.5 / 3
    assert figures(row, "tpot", *RATES) == near(51_044, 0.4 / 57_072, 4 / 57_072, 3.2 / 57_072)
    assert figures(row, "ttft", "ttft_mean") == near(
        3 * longest + 0.5 * 4 * 3 * (longest - 32_960), 2 * 63_100 + 0.5 * 4 * 2 * (63_100 - 32_960)
    )
    # the longest lengths count for the request and for the memory
    assert figures(row, "request_latency") == near(row.ttft[0] + 14 * 51_044)
    assert figures(row, "kv_cache") == (4 * 40 * 26,)


def test_a_sliding_layer() -> None:
    # A window of 6, one layer, no head. Prompts of 8: pairs 8·6 − 18 = 30; decoding reads 4·6 = 24.
    # full 57,600 + 80·30/2 + 80·24 = 60,720; decode 28,800 + 1,920 = 30,720.
    # mixed 0.2·30,720 + 0.8·60,720 = 54,720; others 0.4·30,720 + 0.6·60,720 = 48,720.
    model = changed(DENSE, attention={"window": {"size": 6}})
    row = priced(scene(model, CLOSED), 8)
    assert figures(row, "tpot", "ttft") == near(48_720, 2 * 60_720 + 0.4 * (60_720 - 30_720))
    assert figures(row, "output_rate") == near(4 / 54_720)
    # Bound by memory, 7,200 B of weights: chunks of 4, the second reads min(8/2, 6) = 4 tokens again.
    # full 7,200 + 4/2·40 + 24·40 = 8,240; decode 8,160; others 0.4·8,160 + 0.6·8,240.
    row = priced(scenario(model, CLOSED, card=MEMORY_ONLY), 8)
    assert figures(row, "tpot", "ttft") == near(8_208, 2 * 8_240 + 0.4 * 80)


def test_two_stages() -> None:
    # m = 2, B = 2, U = 4: four chunks of 2; 0.02 B/s.
    # decode: T 2: 14,400 + 80·26 = 16,480; send 2·20/0.02 = 2,000; head 4,000: stages 18,480 and 20,480.
    # full: T 4, pairs 8: 28,800 + 640 + 2,080 = 31,520; send 4,000; head 6,000: 35,520 and 37,520, sum 73,040.
    # mixed, s = 0.2·4: 0.2·18,480 + 0.8·35,520 = 32,112 and 0.2·20,480 + 0.8·37,520 = 34,112, sum 66,224, less than
    #   a cycle of 2·34,112.
    # others, one of the two brings prompts, s = 0.4: 25,296 and 27,296, sum 52,592: TPOT = 27,296 + 34,112, its own
    #   turn and the other micro-batch's.
    # A chunk takes 73,040, which is more than 37,520 + 34,112.
    # TTFT: 4·73,040 + (0.5/10)·4·4·(37,520 − 20,480) = 292,160 + 13,632.
    row = priced(scene(TWO_LAYERS, CLOSED, 0.02), 4, pipeline=2)
    assert figures(row, "tpot", "output_rate", "ttft") == near(61_408, 4 / 68_224, 305_792)
    assert figures(row, *CHOICE) == (2, 2, 4, 4, 2)
    assert figures(row, "kv_cache", "budget_spare") == near(4 * 40 * 18, 4 - 3.6)


def test_a_prompt_that_comes_round_once_per_cycle() -> None:
    # Three stages of a layer, m 3, B 1; a head of 40,000 per sequence makes the last one slowest. X = 12.
    # decode, and others, for nobody else is there to bring a prompt: T 1: 7,200 + 960; head 40,000: 48,160.
    # U = 9: one chunk of 8, T 9: 64,800 + 80·32 + 960 = 68,320; head 80,000: slowest 148,320, sum 284,960.
    #   mixed, s = 1/8: 48,160 + 100,160/8 = 60,680; 148,320 + 2·60,680 = 269,680 is less than the sum.
    # U = 2: eight chunks of 1, T 2, pairs 4: 14,400 + 320 + 960 = 15,680; head 80,000: slowest 95,680.
    #   mixed, s = 1: the same; three turns of it are more than the sum of 127,040: a cycle is longer than the way.
    model = changed(DENSE, layers=3, vocabulary=2000)
    load = {**CLOSED, "concurrency": 3, "output_tokens": 8}
    wide, narrow = (priced(scene(model, load), budget, pipeline=3) for budget in (9, 2))
    assert figures(wide, "tpot", "ttft") == near(48_160 + 2 * 60_680, 284_960 + 0.05 * 3 * (148_320 - 48_160))
    assert figures(narrow, "tpot", "ttft") == near(
        48_160 + 2 * 95_680, 8 * 3 * 95_680 + 0.05 * 3 * 8 * (95_680 - 48_160)
    )
    assert figures(wide, "output_rate") == near(3 / (3 * 60_680))
    assert figures(narrow, "output_rate") == near(3 / (3 * 95_680))


def test_no_more_micro_batches_than_sequences() -> None:
    # N 7, n 2, d 2: Q 4, Q_d 2, three stages: m 2, B 1
    model = changed(DENSE, layers=3)
    row = priced(scene(model, {**CLOSED, "concurrency": 7}), 8, engines=2, data=2, pipeline=3)
    assert figures(row, *CHOICE) == (1, 2, 4, 8, 12)


def test_every_iteration_carries_several_prompts() -> None:
    # s = 4/2·4 = 8, and 6 of the others: every pass carries prompt tokens, all that come. X = 9.
    # mixed: P = 16: 20·7,200 + 80·64 + 80·36 + 100; others: P = 12: 16·7,200 + 80·48 + 80·36 + 100
    row = priced(scene(DENSE, {**CLOSED, "output_tokens": 2}, latencies={"eager_layer": 100}), 6)
    assert figures(row, "tpot", "output_rate") == near(122_020, 4 / 152_100)
    assert figures(row, "budget_spare") == (6 - 4 - 16,)


CROWDED = {**CLOSED, "concurrency": 2, "output_tokens": 3}


def test_an_iteration_of_several_prompts_beside_one_of_some() -> None:
    # B = 2, U = 6: two chunks of 4, X = 9.5. mixed, s = 2/3·2 > 1: P = 16/3, pairs 2/3·32, Y = 2 + 2/3:
    #   two layers of 7,200·22/3 + 80·64/3 + 80·19 + 100, head 16,000/3.
    # decode: 2·(14,400 + 1,520) + 4,000 = 35,840. full: T 6: 2·(43,200 + 1,280 + 1,520 + 100) + 6,000 = 98,200.
    # others, s = 1/3·2: 35,840/3 + 98,200·2/3.
    row = priced(scene(TWO_LAYERS, CROWDED, latencies={"eager_layer": 100}), 6)
    mixed = 2 * (52_800 + 5_120 / 3 + 1_520 + 100) + 16_000 / 3
    assert figures(row, "tpot", "output_rate") == near((35_840 + 2 * 98_200) / 3, 2 / mixed)


def test_several_prompts_read_their_prefixes_again() -> None:
    # The same, bound by memory: mixed: prefix 2/3·(8·1/2)·40 B, cache 19·40 = 760 B.
    # decode 2·7,960 + 2,000; full: prefix 2·40: 2·8,040 + 2,000.
    row = priced(scenario(TWO_LAYERS, CROWDED, card=MEMORY_ONLY), 6)
    assert figures(row, "tpot", "output_rate") == near((17_920 + 2 * 18_080) / 3, 2 / (17_920 + 2 * 320 / 3))
