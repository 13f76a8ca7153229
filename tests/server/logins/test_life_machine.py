"""The life of logins under any order of what people, nodes and time do to them."""

import os

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from runwatch_server import nodes
from runwatch_server.accounts import book, holding, life, sweeping
from runwatch_server.accounts.kinds import AgentTypes
from runwatch_server.accounts.numbers import LoginNumbers
from runwatch_server.accounts.rows import AccountRow, ActionRow
from runwatch_server.rows import NodeRow
from runwatch_shared.errors import RefusedError
from runwatch_shared.logins import AccountRequest, ActionPatch, LoginConfig, OperationRequest
from runwatch_shared.models import Login
from runwatch_shared.states import (
    ACTION_STATUSES,
    FINAL_ACTION_STATUSES,
    PHASES,
    STATE_OF_ACTION,
    WORKFLOW_STATES,
)
from runwatch_shared.timestamps import format_time
from tests.server.domain.keeping import ANY_NODE, Keeper

EXAMPLES = int(os.environ.get("RUNWATCH_TEST_LOGIN_LIVES", "25"))
NAMES = st.sampled_from(["ada", "bob"])
NODES = st.sampled_from(["n1", "n2"])
PICKS = st.integers(0, 1)
"""Of the newest two: the older have long ended."""
TOLD = st.sampled_from([*ACTION_STATUSES, "running", "waiting", "waiting", "success", "success"])
STATES = st.sampled_from(["ok", "expiring", "expired", "missing"])


class Lives(RuleBasedStateMachine):
    """Everything goes through the domain; after each step everything is looked at."""

    @initialize()
    def begin(self) -> None:
        self.keeper = Keeper()
        self.numbers = LoginNumbers()
        self.followed = 0
        self.made = 0
        self.given: dict[str, int] = {}
        """Inputs, and how often each was handed to a node."""
        self.ended: dict[str, ActionRow] = {}
        for node_id in ("n1", "n2"):
            self.keeper.online_node(node_id)

    def teardown(self) -> None:
        if hasattr(self, "keeper"):
            self.keeper.store.close()

    def actions(self) -> list[ActionRow]:
        return self.keeper.read(lambda tx: tx.kept(ActionRow).find(limit=999))

    def picked(self, pick: int) -> ActionRow | None:
        rows = self.actions()[-2:]
        return rows[pick % len(rows)] if rows else None

    @rule(name=NAMES, node_id=NODES, key=st.booleans())
    def start(self, name: str, node_id: str, key: bool) -> None:
        self.made += 1
        request = OperationRequest(
            type="api_key" if key else "oauth",
            config=LoginConfig(name=name, agent_type="claude-code"),
            node_id=node_id,
        )
        self.tried(
            lambda tx: life.start(
                tx,
                request,
                action_id=f"act-{self.made:012x}",
                sealed_key="sealed:1:k" if key else None,
                by_name="ops",
                settings=self.keeper.settings,
            )
        )

    @rule(
        pick=PICKS,
        status=TOLD,
        phase=st.sampled_from(PHASES),
        prompt=st.booleans(),
    )
    def tell(self, pick: int, status: str, phase: str, prompt: bool) -> None:
        self.told(pick, status, phase, prompt)

    @rule(pick=PICKS)
    def ask(self, pick: int) -> None:
        """A login comes to ask for input."""
        self.told(pick, "waiting", "waiting_input", True)

    def told(self, pick: int, status: str, phase: str, prompt: bool) -> None:
        row = self.picked(pick)
        if row is None:
            return
        told = ActionPatch(
            status=status,  # type: ignore[arg-type]  # one of them
            phase=phase,  # type: ignore[arg-type]
            result={"input_prompt": "Code?" if prompt else None, "user_code": "AB"},
        )
        self.tried(lambda tx: life.patch(tx, row.id, told, by=ANY_NODE))

    @rule(pick=PICKS)
    def cancel(self, pick: int) -> None:
        row = self.picked(pick)
        if row is not None:
            self.tried(lambda tx: life.cancel(tx, row.id, by_name="ops"))

    @rule(pick=PICKS)
    def give(self, pick: int) -> None:
        row = self.picked(pick)
        if row is not None:
            text = f"sealed:1:{len(self.given)}"
            if self.tried(lambda tx: life.give_input(tx, row.id, text)):
                self.given[text] = 0

    @rule(node_id=NODES)
    def take(self, node_id: str) -> None:
        ids = [row.id for row in self.actions() if row.node_id == node_id]
        for text in self.keeper.write(lambda tx: life.take_inputs(tx, ids)).values():
            self.given[text] += 1
        assert self.keeper.write(lambda tx: life.take_inputs(tx, ids)) == {}

    @rule(seconds=st.sampled_from([1, 40, 500]))
    def wait(self, seconds: int) -> None:
        self.keeper.wait(seconds)
        self.keeper.write(sweeping.sweep)
        assert all(not row.is_open or row.expires_us > self.keeper.now_us for row in self.actions())

    @rule(name=NAMES, node_id=NODES, state=STATES, expires=st.sampled_from([None, 1, 9]))
    def beat(self, name: str, node_id: str, state: str, expires: int | None) -> None:
        moment = None if expires is None else format_time(expires * 10**15)
        login = Login(
            agent_type="claude-code",
            account_id=f"claude-code_{name}",
            state=state,  # type: ignore[arg-type]
            expires_at=moment,
        )

        def work(tx: object) -> None:
            before = tx.nodes.get(node_id)  # type: ignore[attr-defined]
            after = before or NodeRow(id=node_id, created_us=1, updated_us=1)  # type: ignore[arg-type]
            after = tx.nodes.save(msgspec.structs.replace(after, logins=[login]))  # type: ignore[attr-defined]
            holding.take_in(tx, before, after)  # type: ignore[arg-type]

        self.keeper.write(work)

    @rule(name=NAMES)
    def refuse(self, name: str) -> None:
        self.keeper.write(lambda tx: holding.refuse(tx, f"claude-code_{name}"))

    @rule(name=NAMES)
    def make_account(self, name: str) -> None:
        request = AccountRequest(name=name, agent_type="claude-code")
        self.tried(lambda tx: book.make(tx, request, AgentTypes({})))

    @rule(node_id=NODES)
    def lose_node(self, node_id: str) -> None:
        """It comes back as one that nobody knows."""
        self.tried(lambda tx: nodes.delete_node(tx, node_id))
        self.look()
        self.keeper.online_node(node_id)

    def tried(self, work: object) -> bool:
        try:
            self.keeper.write(work)  # type: ignore[arg-type]
        except RefusedError:
            return False
        return True

    def look(self) -> None:
        """What holds after every commit, in the middle of a step."""
        self.logins_are_whole()
        self.accounts_are_what_their_nodes_have()

    @invariant()
    def logins_are_whole(self) -> None:
        if not hasattr(self, "keeper"):
            return
        for row in self.actions():
            final = row.status in FINAL_ACTION_STATUSES
            assert row.is_open != final
            assert (
                (row.waiting_us is not None) == (row.status == "waiting") == (row.wait is not None)
            )
            assert [phase.seq for phase in row.phases] == list(
                range(row.phases_total - len(row.phases) + 1, row.phases_total + 1)
            )
            assert row.phases[-1].status == row.status
            if final:
                assert row.api_key is None
                assert row.input is None
                assert "user_code" not in row.result
                assert self.ended.setdefault(row.id, row) == row
        assert all(times <= 1 for times in self.given.values())

    @invariant()
    def accounts_are_what_their_nodes_have(self) -> None:
        if not hasattr(self, "keeper"):
            return
        with self.keeper.store.read() as tx:
            accounts = {row.id: row for row in tx.kept(AccountRow).find(limit=99)}
            open_for = {row.account_id for row in self.actions() if row.is_open}
            for account in accounts.values():
                assert account.status != "authenticating" or account.id in open_for
                assert (account.former is not None) == (account.status == "authenticating")
                assert account.status != "authenticated" or account.logged_in
                assert all(tx.nodes.get(node_id) for node_id in account.logged_in)
            for node in tx.nodes.all():
                usable = {
                    account.id
                    for account in accounts.values()
                    if account.status == "authenticated" and node.id in account.logged_in
                }
                assert set(node.accounts) == usable
                assert not usable & set(node.refused)

    @invariant()
    def numbers_are_a_recount(self) -> None:
        if not hasattr(self, "keeper"):
            return
        for commit in self.keeper.commits[self.followed :]:
            for change in commit.kept:
                if isinstance(change.after or change.before, ActionRow):
                    self.numbers.follow(change.before, change.after)  # type: ignore[arg-type]
        self.followed = len(self.keeper.commits)
        counted = dict.fromkeys(WORKFLOW_STATES, 0)
        for row in self.actions():
            counted[STATE_OF_ACTION[row.status]] += 1
        assert self.numbers.by_state() == counted


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
