"""Who plays which part: settings become adapters, adapters become the bridge."""

import random
from datetime import UTC, date, datetime
from functools import cache, partial
from typing import TYPE_CHECKING

from mmbot_pipelines.adapters.bridge.registry import PaymentRegistry, abi_of, disagreement
from mmbot_pipelines.adapters.bridge.registry_abi import ABIS
from mmbot_pipelines.adapters.db.alerts import PgAlertLog
from mmbot_pipelines.adapters.db.bridge.audit import PgAuditRecords
from mmbot_pipelines.adapters.db.bridge.exposure import PgAccounts
from mmbot_pipelines.adapters.db.bridge.order_stats import PgOrderStats
from mmbot_pipelines.adapters.db.bridge.reports import PgReports
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.daemons import PgDaemons
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.evm.chain import EthereumChain
from mmbot_pipelines.adapters.evm.delegation import DeployedBatchContract, read_delegation
from mmbot_pipelines.adapters.evm.signing import WatchOnlyWallet
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.starknet.invoke_store import PgInvokes
from mmbot_pipelines.bridge.alerting.notify import JOURNAL, AlertService
from mmbot_pipelines.bridge.alerting.rules import AlertThresholds
from mmbot_pipelines.bridge.app import Bridge, Rules
from mmbot_pipelines.bridge.auditor.findings import Auditor
from mmbot_pipelines.bridge.confirmations import ConfirmationTier
from mmbot_pipelines.bridge.policy import Batching, Caps, Limits
from mmbot_pipelines.bridge.ports.reports import Reports
from mmbot_pipelines.core import failpoints, readings
from mmbot_pipelines.core.errors import Failure, InvalidSettings
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.safety import GLOBAL
from mmbot_pipelines.settings import Settings
from mmbot_pipelines.settings.bridge import BATCHED, EIP7702, WITH_TRANSFER
from mmbot_pipelines.wiring import origins as origin_wiring
from mmbot_pipelines.wiring import shared
from mmbot_pipelines.wiring import wallets as wallet_wiring

if TYPE_CHECKING:
    from mmbot_pipelines.adapters.metrics.collector import Metrics

_START_SECONDS = 2.0  # for what start alone asks
_POLL_SECONDS = 5.0  # for the age of a chain's newest block


def refuse_losing_settings(settings: Settings) -> None:
    """Refuse to start where what is paid would not come back; pass where no node answers.

    Raises:
        InvalidSettings: the registry's answers do not match MMBOT_L1_REGISTRY_ABI, it does not
            take a further wallet, or an origin refunds nobody for the messages of an account that
            MMBOT_BATCH wants delegated.
    """
    l1 = settings.l1
    rpc = Rpc(l1.urls, chain="L1", chain_id=l1.chain_id, read_seconds=_START_SECONDS)
    try:
        found = abi_of(rpc, l1.registry_address)
        if found != l1.registry_abi:
            raise InvalidSettings(disagreement(l1.registry_address, found, l1.registry_abi))
        faults = origin_wiring.other_chain_ids(rpc, l1, settings.origins)
        faults += wallet_wiring.refused(rpc, settings)
        if settings.execution.batch == EIP7702:
            faults += origin_wiring.stranded_refunds(rpc, settings)
    except Failure:
        # The ABI is checked again before each payment, as is who may pay; refunds before the
        # account is delegated.
        return
    if faults:
        raise InvalidSettings("\n".join(faults))


@cache
def bridge(settings: Settings) -> Bridge:
    """Plug the bridge together, once per process."""
    for point, token in settings.failpoints:
        failpoints.arm(point, token)
    l1, rpc = settings.l1, wallet_wiring.l1_rpc(settings)
    signers = list(wallet_wiring.signers(settings).values())
    if settings.dry_run:  # whatever a step forgets, nothing can be signed
        signers = [WatchOnlyWallet(signer.address) for signer in signers]
    wallets = tuple(EthereumChain(rpc, signer) for signer in signers)
    chain = wallets[0]
    registry = PaymentRegistry(
        rpc, l1.registry_address, start_block=l1.start_block, abi=ABIS[l1.registry_abi]
    )
    engine = shared.engine(settings.database)
    store = PgBridgeStore(engine)
    addresses = tuple(wallet.wallet for wallet in wallets)
    wallet_wiring.log_keyless(store, addresses)
    return Bridge(
        store=store,
        accounts=PgAccounts(engine),
        origins=origin_wiring.origins(
            origin_wiring.Shared(
                settings=settings,
                l1=rpc,
                registry=registry,
                wallets=addresses,
                invokes=PgInvokes(engine),
            )
        ),
        registry=registry,
        chain=chain,
        batch_contract=DeployedBatchContract(rpc) if settings.execution.batch == EIP7702 else None,
        account_code=partial(read_delegation, rpc),
        wallets=wallets,
        keyless=cache(lambda address: EthereumChain(rpc, WatchOnlyWallet(address))),
        rules=Rules(
            limits=limits(settings, *addresses),
            max_attempts=settings.execution.max_attempts,
            backoff_seconds=settings.execution.retry_backoff_seconds,
            dry_run=settings.dry_run,
            claim_with_transfer=settings.execution.claim == WITH_TRANSFER,
            batching=_batching(settings),
            confirmations=tuple(ConfirmationTier(*tier) for tier in settings.limits.confirmations),
            wait_for_price_seconds=settings.limits.wait_for_price_seconds,
            stuck_after_seconds=settings.execution.stuck_after_seconds,
            l1_finality_blocks=settings.l1.finality_blocks,
            undelivered_after_seconds=settings.execution.undelivered_after_seconds,
            caps=Caps(
                exposure=settings.limits.max_exposure,
                per_recipient=settings.limits.max_per_recipient,
                per_hour=settings.limits.max_per_hour,
                per_day=settings.limits.max_per_day,
                throttled_transfers=settings.safety.throttled_transfers,
            ),
            thresholds=readings.SafetyThresholds(
                halt_after_failures=settings.safety.halt_after_failures,
                failure_percent=settings.safety.throttle_failure_percent,
                max_exposure=settings.limits.max_exposure,
                min_balance=settings.limits.min_balance or None,
                max_gas_lost=settings.safety.max_gas_lost,
                max_lag=settings.safety.max_rpc_lag_seconds,
            ),
        ),
        clock=lambda: datetime.now(UTC),
        draw=random.random,
        newest=origin_wiring.newest(settings),
        notifications=origin_wiring.notifications(settings),
        workers=shared.workers(settings.broker),
        explorers=dict(settings.explorers),
    )


@cache
def auditor(settings: Settings) -> Auditor:
    """Return what audits the running bridge, one per process."""
    l1, engine = settings.l1, shared.engine(settings.database)
    return Auditor(
        bridge=bridge(settings),
        records=PgAuditRecords(engine),
        payments=PaymentRegistry(
            wallet_wiring.l1_rpc(settings),
            l1.registry_address,
            start_block=l1.start_block,
            abi=ABIS[l1.registry_abi],
        ),
        reports=PgReports(engine),
        blocks=settings.safety.audit_blocks,
    )


def limits(settings: Settings, *ours: Address) -> Limits:
    """Return what the operator allows; nobody is paid by a transfer to one of `ours`."""
    return Limits(
        min_transfer=settings.limits.min_transfer,
        max_transfer=settings.limits.max_transfer,
        min_margin_bps=settings.limits.min_margin_bps,
        ours=frozenset({settings.l1.registry_address, *ours}),
    )


def _batching(settings: Settings) -> Batching | None:
    execution = settings.execution
    if execution.claim != BATCHED:
        return None
    return Batching(
        max_orders=execution.batch_orders,
        max_age_seconds=execution.batch_age_seconds,
        max_exposure=execution.batch_exposure,
    )


def reports(settings: Settings) -> Reports:
    """Return what answers questions about whole days."""
    return PgReports(shared.engine(settings.database))


def first_day(settings: Settings) -> date | None:
    """Return the day of the first order; None where there is none, or no database yet.

    Nothing is started or created for it.
    """
    try:
        database = shared.existing(settings.database)
        return PgReports(connect(shared.database_url(database))).first_day()
    except (Failure, InvalidSettings):
        return None


@cache
def alert_service(settings: Settings) -> AlertService:
    """Return the service that watches the bridge and alerts the operator, one per process.

    Raises:
        InvalidSettings: MMBOT_ALERT_URLS has an entry that Apprise does not understand.
    """
    engine = shared.engine(settings.database)
    return AlertService(
        bridge=bridge(settings),
        records=PgOrderStats(engine),
        reports=PgReports(engine),
        daemons=PgDaemons(engine),
        log=PgAlertLog(engine),
        channels=shared.channels(settings.alert_urls),
        thresholds=AlertThresholds(
            max_exposure=settings.limits.max_exposure,
            min_balance=settings.limits.min_balance,
            undelivered_after_seconds=settings.execution.undelivered_after_seconds,
        ),
    )


def metrics(settings: Settings) -> "Metrics":
    """Plug together what Prometheus scrapes; the database is opened at the first scrape."""
    # Only one process needs it.
    from mmbot_pipelines.adapters.db.bridge.figures import PgFigures  # noqa: PLC0415
    from mmbot_pipelines.adapters.metrics.collector import Metrics  # noqa: PLC0415

    l1 = settings.l1
    if l1.wallet_address is None:
        raise InvalidSettings(
            "MMBOT_L1_WALLET_ADDRESS is missing: set it to the L1 wallet's address, which "
            "`mmbot doctor` shows; the metrics do without its key"
        )
    rpc = Rpc(l1.urls, chain="L1", chain_id=l1.chain_id, read_seconds=_POLL_SECONDS)
    watched = [l1.wallet_address, *(wallet.address for wallet in settings.more_wallets)]
    wallets = [EthereumChain(rpc, WatchOnlyWallet(address)) for address in watched]
    names = [JOURNAL, *(channel.name for channel in shared.channels(settings.alert_urls))]
    return Metrics(
        PgFigures(cache(lambda: shared.engine(settings.database)), names),
        # an origin's libraries may take seconds to import
        lambda: [origin_wiring.watched_nodes(settings, s) for s in (GLOBAL, *settings.origins)],
        lambda: {wallet.wallet: wallet.balance() for wallet in wallets},
        origins=settings.origins,
        max_exposure=settings.limits.max_exposure,
        min_balance=settings.limits.min_balance,
        dry_run=settings.dry_run,
    )
