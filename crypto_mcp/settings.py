"""Every knob of the product, one nested model per outside system.

Read from the environment (`CRYPTO_MCP_<GROUP>__<NAME>`), then from `.env`, then from `.local/run.env`, which
`crypto-mcp run` writes with the passwords of the servers it started. The first that names a value wins.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AwareDatetime,
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

Port = int


class Group(BaseModel):
    """One outside system's settings; a name that does not exist is an error, not silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RedisSettings(Group):
    """Three databases, each with its own URL, so that queues and cache can live on different instances."""

    cache_url: SecretStr = Field(SecretStr("redis://127.0.0.1:6380/0"), description="Result and market data cache.")
    session_url: SecretStr = Field(SecretStr("redis://127.0.0.1:6380/1"), description="Sessions and rate limits.")
    queue_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6380/2"),
        description="Job queues. The instance must not evict keys (`maxmemory-policy noeviction`).",
    )
    connect_timeout: PositiveFloat = Field(2.0, description="Seconds to wait for a connection.")


class MongoSettings(Group):
    """Results, portfolios, alerts and the candle archive."""

    url: SecretStr = Field(SecretStr("mongodb://127.0.0.1:27018/"), description="Connection string.")
    database: str = Field("crypto_mcp", description="Database name.")
    timeout: PositiveFloat = Field(3.0, description="Seconds to find a server before giving up.")


class PostgresSettings(Group):
    """Tool logs, workflow executions, clients and keys."""

    url: SecretStr = Field(SecretStr("postgresql://127.0.0.1:5433/crypto_mcp"), description="Connection string.")
    timeout: PositiveFloat = Field(3.0, description="Seconds to wait for a connection.")


class ServerSettings(Group):
    """The front end."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(8080, ge=0, le=65535, description="HTTP port.")
    workers: PositiveInt = Field(4, description="Front-end processes.")
    request_timeout: PositiveFloat = Field(30.0, description="Longest a request may take, seconds.")
    default_wait: NonNegativeFloat = Field(
        20.0, description="How long a call waits for its job before it answers with the running job, seconds."
    )
    spool: Path = Field(
        Path(".local/spool"), description="Where tool logs wait while PostgreSQL is away; at most 16 MB."
    )
    memory_cache: ByteSize = Field(ByteSize(50_000_000), description="Bound of the in-process cache (L1), per process.")
    mcp_sessions: bool = Field(
        False,
        description="Keep MCP sessions, so that clients of the older protocol can be asked back over HTTP. "
        "They live in one process: WORKERS must be 1.",
    )
    allowed_hosts: list[str] = Field(
        ["127.0.0.1:*", "localhost:*", "[::1]:*"],
        description="Host headers accepted at /mcp (DNS rebinding protection).",
    )
    allowed_origins: list[str] = Field(
        ["http://127.0.0.1:*", "http://localhost:*", "http://[::1]:*"],
        description="Origin headers accepted at /mcp.",
    )

    @model_validator(mode="after")
    def _sessions_need_one_process(self) -> Self:
        if self.mcp_sessions and self.workers != 1:
            raise ValueError("mcp_sessions needs workers=1: a session lives in one process")
        return self


class AccessSettings(Group):
    """Who may ask, and how much. docs/security.md explains."""

    pepper: SecretStr | None = Field(
        None, description="Secret that stored key hashes are made with; no key works without it, or after it changed."
    )
    local_without_key: bool = Field(
        True,
        description="A call from this machine that came through no proxy needs no key, if the front end listens on "
        "loopback only.",
    )
    signatures: bool = Field(
        True, description="Erasing, exports and dead letters need a signed request beside the key. docs/security.md."
    )
    allowed_networks: list[IPvAnyNetwork] = Field([], description="Networks calls may come from; empty: any.")
    trusted_proxies: list[IPvAnyNetwork] = Field(
        [], description="Networks whose X-Forwarded-For is believed. Nobody else's is."
    )
    key_days: PositiveInt = Field(90, description="Days until a new key expires, if its maker says nothing else.")
    address_limit: NonNegativeInt = Field(1200, description="Units an address may use in a minute; 0: no limit.")
    client_limit: NonNegativeInt = Field(
        600, description="Units a client's key may use in a minute; 0: no limit. The user of this machine has none."
    )


class ClientSettings(Group):
    """The front end that commands such as `call` and `jobs` ask, if it is not the one of this machine."""

    url: str | None = Field(None, description="Its address, such as https://crypto.example.com; else SERVER's.")
    key: SecretStr | None = Field(None, description="API key or access token. A file is safer than a variable.")
    key_file: Path | None = Field(
        None, description="File with the key, which nobody but its owner may read; - is standard input."
    )
    ca_file: Path | None = Field(None, description="Certificates to trust in place of the system's, PEM.")

    @field_validator("key_file", "ca_file")
    @classmethod
    def _of_home(cls, path: Path | None) -> Path | None:
        return path if path is None else path.expanduser()


Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures by a private key only: with `none` or HS256 anybody who knows a public key could make tokens."""


class OAuthSettings(Group):
    """Access tokens of an identity provider, beside keys; off without an issuer. docs/security.md explains."""

    issuer: str | None = Field(
        None,
        description="Issuer whose access tokens are accepted, exactly as it names itself, such as "
        "https://id.example.com/realms/trading; unset: keys only.",
    )
    resource: str | None = Field(
        None, description="Address of MCP as clients know it, such as https://crypto.example.com/mcp."
    )
    audience: str | None = Field(None, description="What a token must be made for, if it is not `resource`.")
    scope_claim: list[str] = Field(
        ["scope"],
        min_length=1,
        description='Way to the claim that says what a token is good for, such as ["realm_access", "roles"].',
    )
    scopes: dict[str, list[str]] = Field(
        {"crypto:read": ["reader"], "crypto:trade": ["trader"]},
        description="What each value of that claim stands for: roles or scopes of the product.",
    )
    algorithms: list[Algorithm] = Field(
        ["RS256", "PS256", "ES256", "EdDSA"], min_length=1, description="Signatures that are accepted."
    )
    leeway: NonNegativeFloat = Field(30.0, le=300, description="Seconds the issuer's clock may differ from this one.")
    keys_for: PositiveFloat = Field(
        300.0, description="Seconds the issuer's keys are good for before they are asked again."
    )
    keys_grace: NonNegativeFloat = Field(
        3600.0, description="Seconds more for which they are good while the issuer does not answer."
    )
    timeout: PositiveFloat = Field(5.0, description="Seconds for one request to the issuer.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.issuer is None:
            return self
        if self.resource is None:
            raise ValueError("an issuer needs `resource`: the address that its tokens are made for")
        for name, url in (("issuer", self.issuer), ("resource", self.resource)):
            if not encrypted_or_local(url):
                raise ValueError(f"{name} must be an https URL without query and fragment (http: this machine only)")
        return self


def encrypted_or_local(url: str) -> bool:
    """Whether it is an https URL, or one of this machine, without user, query and fragment."""
    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    plain = bool(parts.hostname) and not (parts.query or parts.fragment or parts.username or parts.password)
    return plain and (parts.scheme == "https" or local)


class QueueSettings(Group):
    """The queue protocol's times and bounds. docs/queue.md explains each."""

    heartbeat_ttl: PositiveFloat = Field(5.0, description="A worker silent for so long is taken for dead, seconds.")
    heartbeat_every: PositiveFloat = Field(1.6, description="Seconds between two heartbeats.")
    look_every: PositiveFloat = Field(1.5, description="Seconds between two looks for dead workers.")
    restart_grace: NonNegativeFloat = Field(
        3.0, description="After Redis came up nobody is taken for dead for so long, seconds."
    )
    block_for: PositiveFloat = Field(5.0, description="Longest a worker blocks on a list, seconds.")
    shutdown_grace: NonNegativeFloat = Field(
        25.0, description="After SIGTERM running jobs may finish for so long, seconds."
    )
    max_jobs: PositiveInt = Field(16, description="Jobs of a list that a worker runs at once.")
    jobs_a_core: PositiveInt = Field(
        2, description="The same for `backtest:queue`, whose jobs compute: so many for each core."
    )
    record_ttl: PositiveInt = Field(86_400, description="Seconds a finished job's record is kept.")
    answer_ttl: PositiveInt = Field(
        3_600, description="Seconds a finished job's result is kept in Redis (MongoDB has it longer)."
    )
    idempotency_ttl: PositiveInt = Field(86_400, description="Seconds an Idempotency-Key is remembered.")
    max_envelope: ByteSize = Field(ByteSize(1_048_576), description="Largest envelope accepted from a list.")
    client_share: NonNegativeInt = Field(
        64,
        description="Jobs of one kind that a client has on the list or beyond, divided by the kind's cost; 0: any. "
        "More wait in a list of its own, unless nobody else waits. The user of this machine has no share.",
    )
    client_waiting: PositiveInt = Field(10_000, description="So many of its jobs of one kind may wait there.")
    longest: NonNegativeInt = Field(
        50_000, description="When so many jobs wait for a list, a call is refused instead of accepted; 0: never."
    )
    alive_file: Path | None = Field(
        None, description="Touched at every heartbeat that Redis took: for health checks of containers."
    )
    recent: PositiveInt = Field(10_000, description="Jobs kept in the list of recent jobs.")
    allow_eviction: bool = Field(False, description="Start on a Redis that may evict jobs. They may then be lost.")


class MarketSettings(Group):
    """Where market data comes from."""

    binance_url: str = Field(
        "https://data-api.binance.vision", description="Binance spot REST, market data only, no key needed."
    )
    binance_futures_url: str = Field(
        "https://fapi.binance.com", description="Binance USD-M futures REST, market data only, no key needed."
    )
    coingecko_url: str = Field(
        "https://api.coingecko.com/api/v3",
        description="CoinGecko. Paid keys need https://pro-api.coingecko.com/api/v3.",
    )
    coingecko_key: SecretStr | None = Field(None, description="CoinGecko works without; a free demo key gets more.")
    coingecko_plan: Literal["demo", "pro"] = Field("demo", description="What the key is of.")
    coinmarketcap_url: str = Field("https://pro-api.coinmarketcap.com", description="CoinMarketCap.")
    coinmarketcap_key: SecretStr | None = Field(None, description="Without one its keyless door is used.")
    alternative_url: str = Field(
        "https://api.alternative.me", description="Fear and greed index, if CoinMarketCap has none to give."
    )
    without: list[Literal["binance-futures", "coingecko", "coinmarketcap", "alternative.me"]] = Field(
        [], description="Sources that are never asked; results say that they are missing."
    )
    allowance: float = Field(
        0.96,
        gt=0,
        le=1,
        description="Part of each provider's limit that all processes together use. Less if other programs ask "
        "from the same address.",
    )
    binance_stream_url: str = Field(
        "wss://data-stream.binance.vision", description="Binance spot WebSocket streams, market data only."
    )
    stream_life: PositiveFloat = Field(
        82_800.0,
        description="Seconds after which a stream's connection is changed for a new one; the exchange cuts at 24 h.",
    )
    stream_stale_after: PositiveFloat = Field(
        10.0, description="A stream that says nothing for so long is taken for dead, seconds."
    )
    timeout: PositiveFloat = Field(5.0, description="Seconds for one request.")
    attempts: PositiveInt = Field(3, description="Tries of one request inside one job attempt.")

    @model_validator(mode="before")
    @classmethod
    def _follow_the_sandbox(cls, given: Any) -> Any:
        """A `binance_url` on this machine is a sandbox, which plays all sources: those not given follow it."""
        url = given.get("binance_url") if isinstance(given, dict) else None
        if not isinstance(url, str) or urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1"):
            return given
        root = url.rstrip("/")
        return {
            "binance_futures_url": root,
            "coingecko_url": f"{root}/coingecko/api/v3",
            "coinmarketcap_url": f"{root}/coinmarketcap",
            "alternative_url": f"{root}/alternative",
        } | given


class NotifySettings(Group):
    """Telling people: WhatsApp, webhooks, how much and how often. docs/notifications.md explains."""

    encryption_key: SecretStr | None = Field(
        None, min_length=32, description="Random text that numbers and secrets of channels are encrypted with."
    )
    former_encryption_keys: list[SecretStr] = Field(
        [], description="Keys used before: what they encrypted is still read."
    )
    meta_url: str = Field("https://graph.facebook.com", description="WhatsApp Cloud API of Meta.")
    meta_version: str = Field("v25.0", pattern=r"^v\d+\.\d+$", description="Version of it.")
    meta_phone_id: str | None = Field(None, description="Id of the number that messages come from.")
    meta_token: SecretStr | None = Field(None, description="Its access token.")
    meta_app_secret: SecretStr | None = Field(None, description="Secret of the app; signs Meta's webhooks.")
    meta_verify_token: SecretStr | None = Field(
        None, description="Any text of yours; Meta repeats it when it checks the webhook."
    )
    meta_template: str = Field("crypto_alert", description="Approved template for alerts, with three parameters.")
    meta_code_template: str = Field("crypto_code", description="Approved template for codes, with one parameter.")
    meta_language: str = Field("en_US", description="Language of both templates.")
    meta_per_second: PositiveFloat = Field(80.0, description="Messages a second that the number may send.")
    waha_url: str | None = Field(None, description="A WAHA server, instead of Meta.")
    waha_key: SecretStr | None = Field(None, description="Its API key.")
    waha_session: str = Field("default", description="Its session.")
    waha_hmac_key: SecretStr | None = Field(None, description="Signs its webhooks.")
    waha_seconds_between: PositiveFloat = Field(
        2.0, description="Seconds between two messages of the number: one that sends fast is soon blocked."
    )
    pair_seconds: PositiveFloat = Field(6.0, description="Seconds for one message to the same person.")
    pair_burst: PositiveInt = Field(20, description="Messages to one person that may go ahead of that (Meta: 45).")
    gather_for: NonNegativeFloat = Field(
        0.05, description="Seconds a message waits for others to the same person that are about to come."
    )
    gather_most: NonNegativeFloat = Field(
        2.0, description="Where several wait, they wait until no more come for a quarter of a second, at most so long."
    )
    digest_after: PositiveInt = Field(
        3, description="Messages to one person within `digest_window`; what comes after them waits and becomes one."
    )
    digest_window: PositiveFloat = Field(60.0, description="Seconds.")
    expire_after: PositiveFloat = Field(86_400.0, description="Seconds after which nobody wants to be told any more.")
    timeout: PositiveFloat = Field(8.0, le=12, description="Seconds for one request to a provider or webhook.")
    webhook_networks: list[IPvAnyNetwork] = Field(
        [], description="Private networks that webhooks may go to; none by default."
    )
    webhook_ca: Path | None = Field(
        None, description="Certificates (PEM) of an authority of your own, that webhooks' servers may have too."
    )
    local_number: str | None = Field(
        None, description="WhatsApp number of this machine's user, for alerts with no channel set up."
    )

    @property
    def sandboxed(self) -> bool:
        """Whether messages go to a sandbox on this machine, and reach nobody."""
        return urlsplit(self.meta_url).hostname in ("127.0.0.1", "localhost", "::1")


class AlertSettings(Group):
    """Alerts. docs/alerts.md explains."""

    charts_url: str | None = Field(
        None,
        description="Address of the front end for those who are told, such as https://crypto.example.com: with it "
        "messages link to charts.",
    )
    chart_link_days: PositiveInt = Field(
        7, le=90, description="Days after an alert for which the link in its message opens the chart without a key."
    )
    most_per_owner: PositiveInt = Field(1000, description="Alerts one owner may have, whatever their status.")
    watchers_look_every: PositiveFloat = Field(
        1.0, description="Seconds between two heartbeats of a watcher; one that misses four is replaced."
    )


class SandboxSettings(Group):
    """The loopback exchange for one machine, tests and demonstrations."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(8081, ge=0, le=65535, description="HTTP port.")
    opened: AwareDatetime | None = Field(
        None,
        description="When the recorded year of prices ends, in the sandbox's time; unset: the hour in which it starts. "
        "The same value makes the same bars after a restart.",
    )
    seed: NonNegativeInt = Field(1, description="Of the generated symbols.")
    weight_limit: PositiveInt = Field(6000, description="Request weight an address may use in a clock minute.")
    futures_weight_limit: PositiveInt = Field(2400, description="The same of the futures market.")
    stream_life: PositiveFloat = Field(86_400.0, description="Seconds after which a stream's connection is ended.")
    whatsapp_phone_id: str = Field("100000000000001", description="Id of the number that WhatsApp messages come from.")
    whatsapp_token: SecretStr | None = Field(None, description="The access token it takes; unset: any.")
    whatsapp_app_secret: SecretStr | None = Field(
        None, description="Signs what it tells by webhook; unset: it is not signed."
    )
    whatsapp_webhook: str | None = Field(None, description="Where its Meta tells what became of messages.")
    waha_webhook: str | None = Field(None, description="Where its WAHA does; key and secret are those above.")


class LocalSettings(Group):
    """The whole product on one machine (`make run`)."""

    data: Path = Field(Path(".local"), description="Where servers keep their data, logs and passwords.")
    redis_port: Port = Field(6380, ge=0, le=65535, description="Port of the embedded Redis.")
    mongo_port: Port = Field(27018, ge=0, le=65535, description="Port of the embedded MongoDB.")
    postgres_port: Port = Field(5433, ge=0, le=65535, description="Port of the embedded PostgreSQL.")
    redis_fsync: Literal["everysec", "always"] = Field(
        "everysec", description="Redis `appendfsync`. docs/queue.md has the price of `always`."
    )


class LogSettings(Group):
    """Structured logs on standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level written.")
    format: Literal["auto", "json", "console"] = Field(
        "auto", description="`auto`: JSON unless standard error is a terminal."
    )
    folder: Path | None = Field(
        None, description="Logs also go to files here: one a day and role, compressed, kept for 30 days."
    )
    days: PositiveInt = Field(30, description="Days log files are kept.")


class ScalingSettings(Group):
    """How many workers run. docs/scaling.md explains the policy."""

    mode: Literal["off", "advice", "on"] = Field(
        "advice", description="`advice` says and counts what it would do, `on` does it through Docker."
    )
    docker_url: str = Field(
        "http://docker-gate:2375",
        description="Docker's API, through a gate that lets only scaling through; or unix:///...",
    )
    stack: str = Field(
        "crypto", description="Name of the stack: services are called STACK_worker-analysis and the like."
    )
    every: PositiveFloat = Field(5.0, description="Seconds between two decisions.")
    target_wait: PositiveFloat = Field(5.0, description="Seconds a job may wait for a worker, as a rule.")
    concurrency: PositiveFloat = Field(
        2.0, description="Jobs a replica really works on side by side: its processors, not the jobs it holds."
    )
    cool_down: NonNegativeFloat = Field(20.0, description="Seconds after a change before replicas are taken away.")
    analysis: tuple[NonNegativeInt, PositiveInt] = Field(
        (1, 8), description="Fewest and most replicas of the analysis worker."
    )
    backtest: tuple[NonNegativeInt, PositiveInt] = Field(
        (0, 8), description="The same of the backtest worker; 0 lets it sleep until a job comes."
    )
    alerts: tuple[NonNegativeInt, PositiveInt] = Field(
        (1, 4), description="The same of the worker of alerts and notifications."
    )
    front: tuple[PositiveInt, PositiveInt] = Field((2, 8), description="The same of front ends.")


class BackupSettings(Group):
    """Backups: where they go, when, and the accounts that read the databases for them. docs/operations.md explains."""

    repository: str = Field(
        "", description="restic's repository: a folder, `s3:HOST/BUCKET`, `sftp:...`; empty: no backups."
    )
    key: SecretStr | None = Field(None, description="Encrypts the repository. Lost, nothing can be restored.")
    hour: int = Field(3, ge=0, le=23, description="Hour (UTC) of the daily backup.")
    tail_every: PositiveFloat = Field(
        30.0, description="Seconds between two backups of what changed since: the most that a disaster loses."
    )
    work: Path = Field(Path(".local/backup"), description="Where a backup is put together, and changes are collected.")
    mongo_url: SecretStr | None = Field(None, description="Login with the role `backup`; the product's own if unset.")
    postgres_url: SecretStr | None = Field(
        None, description="Login that may replicate; no copy of the cluster if unset."
    )
    redis_url: SecretStr | None = Field(
        None, description="Login that may replicate the queues; the product's own if unset."
    )
    include: list[Path] = Field([], description="Files and folders kept too: configuration, certificates, logs.")
    keep: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        (14, 12, 12), description="Daily, weekly and monthly backups that are kept."
    )


class MonitorSettings(Group):
    """When operators are told. A state has to last before it is told, and to be gone before it is told again."""

    operators: list[str] = Field([], description="Clients by whose channels system alerts go; docs/operations.md.")
    cpu_percent: PositiveFloat = Field(80.0, description="Of all processors.")
    memory_percent: PositiveFloat = Field(85.0, description="Of the memory, or of the container's share.")
    error_percent: PositiveFloat = Field(5.0, description="Of calls that failed by our fault.")
    response_ms: PositiveFloat = Field(1000.0, description="95th percentile of calls.")
    lasting: NonNegativeFloat = Field(60.0, description="Seconds a state has to last before it is told.")
    dead_man_hour: int = Field(8, ge=-1, le=23, description="Hour (UTC) of the daily sign of life; -1: none.")


class Settings(BaseSettings):
    """All settings. Unknown names inside a group are an error, so that a typing mistake is not silent."""

    model_config = SettingsConfigDict(
        env_prefix="CRYPTO_MCP_",
        env_nested_delimiter="__",
        env_file=(".local/run.env", ".env"),
        env_ignore_empty=True,
        extra="ignore",
    )

    redis: RedisSettings = RedisSettings()
    mongo: MongoSettings = MongoSettings()
    postgres: PostgresSettings = PostgresSettings()
    server: ServerSettings = ServerSettings()
    client: ClientSettings = ClientSettings()
    access: AccessSettings = AccessSettings()
    oauth: OAuthSettings = OAuthSettings()
    queue: QueueSettings = QueueSettings()
    market: MarketSettings = MarketSettings()
    notify: NotifySettings = NotifySettings()
    alerts: AlertSettings = AlertSettings()
    sandbox: SandboxSettings = SandboxSettings()
    local: LocalSettings = LocalSettings()
    log: LogSettings = LogSettings()
    scaling: ScalingSettings = ScalingSettings()
    backup: BackupSettings = BackupSettings()
    monitor: MonitorSettings = MonitorSettings()


@cache
def get_settings() -> Settings:
    """The process's settings, read once."""
    return Settings()
