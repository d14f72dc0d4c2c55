"""`crdt-sync duplicates`: which records may be one customer, and what to do about them."""


def test_a_customer_of_two_tables_is_listed_with_why(store, run, tmp_path):
    for name, text in {
        "crm.csv": "Customer ID,Name,E-mail,Phone\n1,Anna Müller,anna@x.de,+49 30 901820\n2,Bert,b@x.de,\n",
        "shop.csv": "Shop No,Name,E-mail\n77,Anna Müller,ANNA@x.de\n78,Cem,c@x.de\n",
    }.items():
        (tmp_path / name).write_text(text, "utf-8")
    run("import", tmp_path / "crm.csv", "--key", "Customer ID")
    told = run("import", tmp_path / "shop.csv", "--key", "Shop No")
    assert len(run("list", "--json").objects) == 4
    assert "crdt-sync duplicates customers" in told.err
    group = run("duplicates", "--json").object
    named = {each["record"] for each in run("list", "--json").objects if each["fields"]["name"] == "Anna Müller"}
    assert (set(group["records"]), group["names_agree"]) == (named, True)
    assert group["why"] == {"e-mail address": group["why"]["e-mail address"]}
    assert group["why"]["e-mail address"].lower() == "anna@x.de"
    shown = run("duplicates")
    assert all(record in shown.out for record in named)
    assert "e-mail address: " in shown.out
    _, drop = group["records"]
    assert f"crdt-sync delete {drop}" in " ".join(shown.err.split())
    run("delete", drop)
    assert run("duplicates").out == "No two records look like one customer.\n"
    assert run("duplicates", "--json").out == ""


def test_what_is_shown_is_bounded(made, run):
    for number in range(8):
        made(f"name=N{number}", "phone=030 1234567")
    for number in range(3):
        made(f"name=M{number}", f"email=m{number}@x.de")
        made(f"name=M{number}", f"email=m{number}@x.de")
    shown = run("duplicates", "--limit", "3")
    assert "The first 3 of 4 groups; --limit 0 shows all." in shown.err
    assert "phone number" not in shown.out, "those of other names come last"
    every = run("duplicates").out
    assert "other names" in every
    assert "and 2 more; --json has all" in every
    assert [len(group["records"]) for group in run("duplicates", "--json").objects] == [2, 2, 2, 8]
