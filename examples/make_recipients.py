"""Make recipients.csv: 1,000 SMS and 25 gifts to numbers that regulators keep for fiction, so that nobody has them.

Australia: the mobile numbers that ACMA names; United Kingdom: Ofcom's 07700 900000 to 900999; United States: NANPA's
555-0100 to 555-0199. Run it again after a change: the same script always makes the same file.
"""

import csv
import random
from pathlib import Path

ACMA = """
570006 570156 570157 570158 570159 570110 570313 570737 571266 571491 571804 572549 572665 572983 573770 573087 574118
574632 575254 575789 576398 576801 577426 577644 578957 578148 578888 579212 579760 579455
""".split()
AREA_CODES = ("212", "312", "415", "617")

AUSTRALIA = [f"+61491{number}" for number in ACMA]
UNITED_KINGDOM = [f"+447700900{number:03}" for number in range(570)]
UNITED_STATES = [f"+1{area}5550{number}" for area in AREA_CODES for number in range(100, 200)]
GIFTED = AUSTRALIA[:10] + UNITED_KINGDOM[:10] + UNITED_STATES[:5]

NAMES = "Ava Noah Mia Liam Zoë Łukasz Chloé Søren Amélie Jürgen Olivia Mateo Γιώργος Aisha Dmitri 花子".split()
TEXTS = (
    "Hi {name}, your table for two is booked for Friday at 19:30. Reply C to cancel.",
    "{name}, your parcel leaves our depot today. Track it at https://example.com/t/{number}",
    "Only this week: 20% off everything, {name}. Show this text at the till. Stop? Reply STOP.",
    "Dear {name}, your invoice over €{number}.00 is due on Monday. [Account {{number {number}}}]",
    "Happy birthday, {name}! 🎂 Your coffee is on us today.",
    "{name}, your café card has {number} points — enough for a flat white ☕",
)
SKUS = ("coffee-card", "book-card", "cinema-card")
CURRENCIES = {"+61": "AUD", "+44": "GBP", "+1": "USD"}


def main() -> None:
    """Write the file beside this script."""
    roll = random.Random(25)
    everybody = AUSTRALIA + UNITED_KINGDOM + UNITED_STATES
    roll.shuffle(everybody)
    with (Path(__file__).parent / "recipients.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["channel", "recipient", "text", "sku", "amount", "currency", "key"])
        for place, recipient in enumerate(everybody, 1):
            text = roll.choice(TEXTS).format(name=roll.choice(NAMES), number=roll.randint(10, 99))
            rows.writerow(["sms", recipient, text, "", "", "", f"autumn-sms-{place:04}"])
        for place, recipient in enumerate(GIFTED, 1):
            currency = next(code for prefix, code in CURRENCIES.items() if recipient.startswith(prefix))
            thanks = f"Thank you, {roll.choice(NAMES)}!"
            amount = roll.choice(["10.00", "25.00", "50.00"])
            rows.writerow(["gift", recipient, thanks, roll.choice(SKUS), amount, currency, f"autumn-gift-{place:02}"])


if __name__ == "__main__":
    main()
