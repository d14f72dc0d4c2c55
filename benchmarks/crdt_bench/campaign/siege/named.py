"""The attacks that worked once, each as a program; what is drawn comes after them."""

from crdt_bench.campaign.siege.program import Attack, Begin, Close, Crumble, Knock, Open, Send, Wait

NAMED = (
    Attack("legal updates that are dear to integrate", (Open(1), Send("dear", 5), Wait(1.0), Close())),
    Attack("dear updates by many sessions", (Open(8), Send("dear", 1), Wait(0.5), Close())),
    Attack(
        "the same large record wanted 512 times", (Open(2, follow=True), Send("own"), Send("want again", 2), Wait(0.2))
    ),
    Attack("large bad frames, and back again", (Open(1), Send("bad"), Close())),
    Attack("one large push a session", (Open(1), Send("large"), Wait(0.05), Close())),
    Attack("updates that are refused, and back again", (Open(1), Send("refused", 64), Wait(0.05), Close())),
    Attack("pings", (Open(4), Send("ping", 5_000), Wait(0.01))),
    Attack("wants of what nobody has", (Open(4, follow=True), Send("want unknown", 50))),
    Attack("tiny records", (Open(2), Send("tiny", 4), Wait(0.01))),
    Attack("presence, with many who follow", (Open(200, follow=True), Send("presence", 2), Wait(0.1))),
    Attack("receipts", (Open(4), Send("receipt", 500), Wait(0.01))),
    Attack("checks of a large record", (Open(2, follow=True), Send("own"), Send("check", 8), Wait(0.1))),
    Attack("audits, again and again", (Open(4, follow=True), Send("audit", 8), Wait(0.1), Close())),
    Attack("followers that do not read", (Open(50, follow=True, reading=False), Send("large", 1), Wait(0.5))),
    Attack("strangers that say nothing", (Open(120, greeted=False), Wait(2.0))),
    Attack("connections that come and go", (Open(50), Close())),
    Attack("idle connections to the metrics", (Open(64, greeted=False), Wait(2.0)), metrics=True),
    Attack("large frames that never end", (Open(200), Begin(3_900_000), Wait(1.0))),
    Attack("large frames by many sessions at once", (Open(200), Send("large", 2), Wait(0.5))),
    Attack(
        "pings of the transport, and answers that nobody reads", (Open(20, reading=False), Knock(2_000), Wait(0.01))
    ),
    Attack("a large record, and followers that do not read", (Open(150, follow=True, reading=False), Send("own"))),
    Attack("large frames that are announced, and come slowly", (Open(100), Begin(20_000), Wait(0.1))),
    Attack("strangers that ping", (Open(300, greeted=False, upgraded=True), Knock(50), Wait(0.01))),
    Attack("hellos of many fragments", (Open(300, greeted=False, upgraded=True), Crumble(4_000), Wait(0.5))),
    Attack("messages of many fragments", (Open(200), Crumble(4_000), Wait(0.5))),
)
