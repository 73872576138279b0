"""`python -m benchmarks.grounding`: how many replies with a planted value are caught, and how many good ones are held back."""

import sys

from benchmarks.grounding import HELD_OUT, TUNED, judge

LEAST_CAUGHT, MOST_HELD = 0.9, 0.1


def main() -> int:
    is_met = True
    for what, path in (("written with the rules", TUNED), ("held out", HELD_OUT)):
        score = judge(path)
        print(f"{what}: caught {score.caught}/{score.bad}, wrongly held {score.held}/{score.good}")
        for each in score.mistakes:
            print(f"  {each}")
        is_met &= score.caught >= LEAST_CAUGHT * score.bad and score.held <= MOST_HELD * score.good
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
