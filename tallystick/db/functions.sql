-- The books' functions, replaced whole by every migrate. They run as their caller, below row-level security, and name the tenant
-- in every statement. Each statement finds its rows by key, whatever the statistics of a young table say; plans are pinned by the
-- application's connections, since settings of a function's own cost at every call.

-- Post journals in their order, each with its own verdict: 'posted', or why it was refused. A refused journal has no effect, and
-- those behind it see the balances without it.
--
-- Accounts go by number: first `_existing`, whose ids ascend, then `_opened`. Books go by number too: (merchant, currency).
-- `_existing_books` is the book in which an account is expected. `_lasts` is the number of each journal's last transfer.
-- An account is opened by the first journal that names it, and only if that one posts; one that no journal names is opened.
-- `_freed_accounts` and `_freed` are empty, or tell for each journal what an ended hold gives back before the journal runs;
-- there a journal's id may be null: then only the hold ends.
create or replace function ledger_post(
    _tenant_id uuid, _now timestamptz, _recorded_at timestamptz,
    _merchants uuid[], _currencies text[],
    _existing uuid[], _existing_books int[],
    _opened uuid[], _opened_books int[], _codes text[], _owners uuid[], _parents uuid[], _classes text[], _funders uuid[],
    _expiries timestamptz[], _floors bigint[], _ceilings bigint[],
    _journals uuid[], _kinds text[], _causes uuid[], _reverses uuid[], _books int[], _lasts int[],
    _debits int[], _credits int[], _amounts bigint[],
    _freed_accounts int[], _freed bigint[]
) returns text[]
language plpgsql
as $$
declare
    -- Balances and amounts stay within ±(2^62 - 1), so that no sum of two leaves the range of bigint.
    most constant bigint := 4611686018427387903;
    unknown constant int := 0;
    existing constant int := cardinality(_existing);
    freeing constant boolean := cardinality(_freed) > 0;
    verdicts text[] := array_fill('posted'::text, array[cardinality(_journals)]);
    books int[] := array_fill(unknown, array[existing]) || _opened_books;
    balances bigint[] := array_fill(0::bigint, array[existing + cardinality(_opened)]);
    versions bigint[] := balances;
    lows bigint[] := balances;
    highs bigint[] := balances;
    helds bigint[] := array_fill(0::bigint, array[existing]);
    helds_before bigint[];
    versions_before bigint[];
    ats timestamptz[] := array_fill(_now, array[existing + cardinality(_opened)]);
    -- When journals of a book are dated where that is later than now: its books are closed until then. By number of the book.
    dates timestamptz[];
    is_named boolean;
    -- What was posted, one element a transfer: its number, its journal's, and both accounts after it.
    transfers int[];
    journals int[];
    legs int[];
    debit_versions bigint[];
    debit_balances bigint[];
    credit_versions bigint[];
    credit_balances bigint[];
    posted int := 0;
    found record;
    a int := 0;
    book int;
    first int;
    last int := 0;
    debit int;
    credit int;
    amount bigint;
    low_before bigint;
    debit_after bigint;
    credit_after bigint;
    reason text;
begin
    -- 1. One order of locks for everyone, so two postings can wait but never deadlock.
    for found in
        select id, merchant_id, currency::text as currency, floor, ceiling, balance, held, version, last_at
        from accounts
        where tenant_id = _tenant_id and id = any(_existing)
        order by id
        for update
    loop
        loop
            a := a + 1;
            exit when _existing[a] = found.id;
            if a > cardinality(_existing) then
                raise exception 'account ids ascend, each once' using errcode = 'invalid_parameter_value';
            end if;
        end loop;
        book := _existing_books[a];
        if _merchants[book] is distinct from found.merchant_id or _currencies[book] is distinct from found.currency then
            -- Not where it was expected: another of the books, or one behind them.
            book := 1;
            while _merchants[book] <> found.merchant_id or _currencies[book] <> found.currency loop
                book := book + 1;
            end loop;
            _merchants[book] := found.merchant_id;
            _currencies[book] := found.currency;
        end if;
        books[a] := book;
        balances[a] := found.balance;
        versions[a] := found.version;
        helds[a] := found.held;
        lows[a] := greatest(found.floor + found.held, -most);
        highs[a] := least(found.ceiling, most);
        if found.last_at > _now then
            ats[a] := found.last_at;
        end if;
    end loop;
    versions_before := versions[1:existing];
    helds_before := helds;
    for n in 1 .. cardinality(_opened) loop
        if _floors[n] > 0 or _ceilings[n] < 0 then
            raise exception 'an account opens with nothing, which its limits allow' using errcode = 'invalid_parameter_value';
        end if;
        lows[existing + n] := greatest(_floors[n], -most);
        highs[existing + n] := least(_ceilings[n], most);
    end loop;

    -- Nothing is dated into a closed period. Whoever closes one sets the fence and then waits for every transaction that had an id
    -- before: so a poster takes its id first and looks for fences after, and is waited for or sees the fence.
    is_named := pg_current_xact_id() is not null;
    for found in
        select merchant_id, closed_until
        from book_closings
        where tenant_id = _tenant_id and merchant_id = any(_merchants) and closed_until > _now
    loop
        for b in 1 .. cardinality(_merchants) loop
            if _merchants[b] = found.merchant_id then
                dates[b] := found.closed_until;
            end if;
        end loop;
        for n in 1 .. cardinality(ats) loop
            if _merchants[books[n]] = found.merchant_id then
                ats[n] := greatest(ats[n], found.closed_until);
            end if;
        end loop;
    end loop;

    -- 2. The journals, in memory.
    for j in 1 .. cardinality(_journals) loop
        first := last + 1;
        last := _lasts[j];
        book := _books[j];
        reason := null;
        if freeing then
            a := _freed_accounts[j];
            low_before := lows[a];
            helds[a] := helds[a] - _freed[j];
            lows[a] := greatest(low_before - _freed[j], -most);
        end if;
        for t in first .. last loop
            debit := _debits[t];
            credit := _credits[t];
            amount := _amounts[t];
            if amount < 1 or debit = credit then
                raise exception 'a transfer moves a positive amount between two accounts' using errcode = 'invalid_parameter_value';
            end if;
            if books[debit] <> book or books[credit] <> book then
                a := case when books[debit] <> book then debit else credit end;
                reason := case
                    when books[a] = unknown then 'unknown_account'
                    when _merchants[books[a]] = _merchants[book] then 'other_currency'
                    else 'other_book'
                end;
                exit;
            end if;
            if amount > most then
                reason := 'too_large';
                exit;
            end if;
            debit_after := balances[debit] - amount;
            if debit_after < lows[debit] then
                reason := case when lows[debit] = -most then 'too_large' else 'below_floor' end;
                exit;
            end if;
            credit_after := balances[credit] + amount;
            if credit_after > highs[credit] then
                reason := case when highs[credit] = most then 'too_large' else 'above_ceiling' end;
                exit;
            end if;
            balances[debit] := debit_after;
            balances[credit] := credit_after;
            versions[debit] := versions[debit] + 1;
            versions[credit] := versions[credit] + 1;
            posted := posted + 1;
            transfers[posted] := t;
            journals[posted] := j;
            legs[posted] := t - first + 1;
            debit_versions[posted] := versions[debit];
            debit_balances[posted] := debit_after;
            credit_versions[posted] := versions[credit];
            credit_balances[posted] := credit_after;
        end loop;
        continue when reason is null;

        -- Refused: take back what it did so far, and do not open what it would have opened.
        verdicts[j] := reason;
        while posted > 0 and journals[posted] = j loop
            debit := _debits[transfers[posted]];
            credit := _credits[transfers[posted]];
            amount := _amounts[transfers[posted]];
            balances[debit] := balances[debit] + amount;
            balances[credit] := balances[credit] - amount;
            versions[debit] := versions[debit] - 1;
            versions[credit] := versions[credit] - 1;
            journals[posted] := 0;
            posted := posted - 1;
        end loop;
        for t in first .. last loop
            foreach a in array array[_debits[t], _credits[t]] loop
                if a > existing and versions[a] = 0 then
                    books[a] := unknown;
                end if;
            end loop;
        end loop;
        if freeing then
            a := _freed_accounts[j];
            helds[a] := helds[a] + _freed[j];
            lows[a] := low_before;
        end if;
    end loop;

    -- 3. The writes, each one statement.
    if cardinality(_opened) > 0 then
        insert into accounts (
            tenant_id, id, merchant_id, currency, code, owner_id, parent_id, lot_class, funder_id, expires_at, floor, ceiling,
            balance, version, last_at, opened_at
        )
        select _tenant_id, o.id, _merchants[o.book], _currencies[o.book], o.code, o.owner_id, o.parent_id, o.lot_class,
            o.funder_id, o.expires_at, o.floor, o.ceiling, balances[existing + o.n], versions[existing + o.n],
            coalesce(dates[o.book], _now), _now
        from unnest(
            _opened, _opened_books, _codes, _owners, _parents, _classes, _funders, _expiries, _floors, _ceilings
        ) with ordinality as o (
            id, book, code, owner_id, parent_id, lot_class, funder_id, expires_at, floor, ceiling, n
        )
        where books[existing + o.n] <> unknown;
        if array_remove(_expiries, null) <> '{}' then
            insert into lot_deadlines (tenant_id, account_id, parent_id, merchant_id, code, expires_at, due_at)
            select _tenant_id, o.id, o.parent_id, _merchants[o.book], o.code, o.expires_at, o.expires_at
            from unnest(_opened, _opened_books, _codes, _parents, _expiries) with ordinality as o (
                id, book, code, parent_id, expires_at, n
            )
            where o.expires_at is not null and books[existing + o.n] <> unknown;
        end if;
    end if;
    if posted = 0 and not freeing then
        return verdicts;
    end if;
    -- By a list of ids, not by a join: a join planned while the tenant was young would walk all its accounts for ever after.
    update accounts as old
    set balance = balances[array_position(_existing, old.id)], held = helds[array_position(_existing, old.id)],
        version = versions[array_position(_existing, old.id)], last_at = ats[array_position(_existing, old.id)]
    where old.tenant_id = _tenant_id and old.id = any(_existing)
        and (old.version <> versions[array_position(_existing, old.id)] or old.held <> helds[array_position(_existing, old.id)]);
    insert into journals (tenant_id, id, merchant_id, currency, kind, cause_id, reverses_id, at, recorded_at)
    select _tenant_id, j.id, _merchants[j.book], _currencies[j.book], j.kind, j.cause_id, j.reverses_id,
        coalesce(dates[j.book], _now), _recorded_at
    from unnest(_journals, _kinds, _causes, _reverses, _books, verdicts) as j (id, kind, cause_id, reverses_id, book, verdict)
    where j.verdict = 'posted' and j.id is not null;
    insert into entries (
        tenant_id, account_id, version, journal_id, leg, counterpart_id, amount, balance_after, at
    )
    select _tenant_id, accounts[e.account], e.version, _journals[e.journal], e.leg, accounts[e.counterpart], e.amount,
        e.balance_after, ats[e.account]
    from (select _existing || _opened as accounts) as numbered,
        unnest(
            transfers, journals, legs, debit_versions, debit_balances, credit_versions, credit_balances
        ) as p (transfer, journal, leg, debit_version, debit_balance, credit_version, credit_balance),
        lateral (
            values
                (_debits[p.transfer], p.debit_version, p.journal, p.leg, _credits[p.transfer], -_amounts[p.transfer],
                    p.debit_balance),
                (_credits[p.transfer], p.credit_version, p.journal, p.leg, _debits[p.transfer], _amounts[p.transfer],
                    p.credit_balance)
        ) as e (account, version, journal, leg, counterpart, amount, balance_after)
    where p.journal <> 0;
    return verdicts;
end
$$;

-- Reserve amounts of accounts, in order, each with its own verdict: 'held', or why it was refused. `_existing` ascends; `_accounts`
-- are numbers in it.
create or replace function ledger_hold(
    _tenant_id uuid, _now timestamptz, _existing uuid[],
    _holds uuid[], _accounts int[], _amounts bigint[], _causes uuid[], _expiries timestamptz[]
) returns text[]
language plpgsql
set search_path = public, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
    most constant bigint := 4611686018427387903;
    verdicts text[] := array_fill('held'::text, array[cardinality(_holds)]);
    -- What may still be held of each account; null where there is no such account.
    lefts numeric[] := array_fill(null::numeric, array[cardinality(_existing)]);
    helds bigint[] := array_fill(0::bigint, array[cardinality(_existing)]);
    found record;
    a int := 0;
begin
    for found in
        select id, floor, balance, held
        from accounts
        where tenant_id = _tenant_id and id = any(_existing)
        order by id
        for update
    loop
        loop
            a := a + 1;
            exit when _existing[a] = found.id;
            if a > cardinality(_existing) then
                raise exception 'account ids ascend, each once' using errcode = 'invalid_parameter_value';
            end if;
        end loop;
        lefts[a] := found.balance::numeric - found.held - greatest(found.floor, -most);
        helds[a] := found.held;
    end loop;
    for h in 1 .. cardinality(_holds) loop
        a := _accounts[h];
        if lefts[a] is null then
            verdicts[h] := 'unknown_account';
        elsif _amounts[h] > most - helds[a] then
            verdicts[h] := 'too_large';
        elsif _amounts[h] > lefts[a] then
            verdicts[h] := 'below_floor';
        else
            lefts[a] := lefts[a] - _amounts[h];
            helds[a] := helds[a] + _amounts[h];
        end if;
    end loop;
    update accounts as old
    set held = helds[array_position(_existing, old.id)]
    where old.tenant_id = _tenant_id and old.id = any(_existing) and old.held <> helds[array_position(_existing, old.id)];
    insert into holds (tenant_id, id, account_id, amount, cause_id, at, expires_at)
    select _tenant_id, h.id, _existing[h.account], h.amount, h.cause_id, _now, h.expires_at
    from unnest(_holds, _accounts, _amounts, _causes, _expiries, verdicts) as h (
        id, account, amount, cause_id, expires_at, verdict
    )
    where h.verdict = 'held';
    return verdicts;
end
$$;

-- The balance of an account at an instant, in as many probes of its entries as their count has binary digits: their times never
-- decrease from version to version. 0 before its first entry.
create or replace function ledger_balance_at(_tenant_id uuid, _account_id uuid, _at timestamptz) returns bigint
language plpgsql stable
set search_path = public, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
    low bigint := 0;
    high bigint;
    middle bigint;
    middle_at timestamptz;
begin
    select coalesce(max(e.version), 0) into high from entries as e where e.tenant_id = _tenant_id and e.account_id = _account_id;
    while low < high loop
        middle := (low + high + 1) / 2;
        select e.at into middle_at
        from entries as e
        where e.tenant_id = _tenant_id and e.account_id = _account_id and e.version = middle;
        if middle_at <= _at then
            low := middle;
        else
            high := middle - 1;
        end if;
    end loop;
    return coalesce(
        (
            select e.balance_after from entries as e
            where e.tenant_id = _tenant_id and e.account_id = _account_id and e.version = low
        ),
        0
    );
end
$$;

-- How many entries an account had before an instant, which is the version it stood at: found as the balance is.
create or replace function ledger_version_before(_tenant_id uuid, _account_id uuid, _at timestamptz) returns bigint
language plpgsql stable
set search_path = public, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
    low bigint := 0;
    high bigint;
    middle bigint;
    middle_at timestamptz;
begin
    select coalesce(max(e.version), 0) into high from entries as e where e.tenant_id = _tenant_id and e.account_id = _account_id;
    while low < high loop
        middle := (low + high + 1) / 2;
        select e.at into middle_at
        from entries as e
        where e.tenant_id = _tenant_id and e.account_id = _account_id and e.version = middle;
        if middle_at < _at then
            low := middle;
        else
            high := middle - 1;
        end if;
    end loop;
    return low;
end
$$;
