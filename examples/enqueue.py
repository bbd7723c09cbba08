"""Take an order, its confirmation and a gift in one transaction: all are there, or none. Run `dispatcher up` first."""

import uuid

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from dispatcher import Dispatcher
from dispatcher.settings import load_settings

dispatcher, order = Dispatcher.from_env(), f"order-{uuid.uuid4()}"
with Session(create_engine(load_settings().ledger)) as session, session.begin():
    session.execute(text("CREATE TABLE IF NOT EXISTS orders (number TEXT PRIMARY KEY)"))
    session.execute(text("INSERT INTO orders VALUES (:order)"), {"order": order})
    sms = dispatcher.send_sms("+61491570006", "Thank you for your order!", session=session)
    gift = dispatcher.send_gift(
        "+61491570006", sku="coffee-card", amount="10.00", currency="AUD", idempotency_key=order, session=session
    )
print(f"{order}: sms {sms.id}, gift {gift.id}")
