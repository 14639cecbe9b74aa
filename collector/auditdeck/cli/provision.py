"""`auditdeck provision`: the init job of the stack."""

from __future__ import annotations

from pathlib import Path

import click

from auditdeck.assets import asset
from auditdeck.cli.cluster import ELASTICSEARCH, SECRETS, setting
from auditdeck.cli.options import Shared, shared
from auditdeck.stack.checks import check_host, check_version, keep_version
from auditdeck.stack.progress import Progress
from auditdeck.stack.secrets import Secrets, Wishes, make_secrets

FILE = click.Path(path_type=Path)


@click.command("provision")
@SECRETS
@ELASTICSEARCH
@setting("--kibana", "KIBANA_URL", default="https://kibana:5601", help="Kibana's address; empty: there is none.")
@setting("--retention-days", "RETENTION_DAYS", type=click.IntRange(min=1), default=90, help="Older events are deleted.")
@setting("--names", "CERTIFICATE_NAMES", default="", help="More names and addresses for the certificates, with commas.")
@setting("--elastic-password-file", "ELASTIC_PASSWORD_FILE", type=FILE, help="A password of your own for elastic.")
@setting("--kibana-tls/--no-kibana-tls", "KIBANA_TLS", default=True, help="Whether Kibana speaks TLS.")
@setting("--stack-version", "STACK_VERSION", default="", help="The version of Elasticsearch and Kibana.")
@setting("--service-settings", "SERVICE_SETTINGS", type=FILE, help="A folder with elasticsearch.yml and kibana.yml.")
@setting("--ignore-memory", "IGNORE_MEMORY", is_flag=True, help="Go on with less than 3 GB free.")
@setting("--patience", "PATIENCE", default=600.0, help="Seconds to wait for Elasticsearch, and for Kibana.")
@click.option("--rotate", is_flag=True, help="Replace the collector's API key.")
@setting("--overwrite", "OVERWRITE", is_flag=True, help="Replace dashboards that were changed in Kibana.")
@click.option("--enable-alert", "enable", metavar="NAME", help="Only enable an alert rule: a file of kibana/alerts.")
@click.option("--disable-alert", "disable", metavar="NAME", help="Only disable an alert rule.")
@click.option("--export-dashboards", "export", is_flag=True, help="Only bring changes made in Kibana back.")
@shared
def command(
    shared: Shared,
    secrets: Path,
    elasticsearch: str,
    kibana: str,
    retention_days: int,
    names: str,
    elastic_password_file: Path | None,
    kibana_tls: bool,
    stack_version: str,
    service_settings: Path | None,
    ignore_memory: bool,
    patience: float,
    rotate: bool,
    overwrite: bool,
    enable: str | None,
    disable: str | None,
    export: bool,
) -> None:
    """Set the stack up: certificates and passwords, then Elasticsearch, then Kibana.

    Safe to run again at any time: what is right already stays, what a newer version brings is applied, and what you
    changed in Kibana is kept.
    """
    from auditdeck.stack.alerts import provision_alerts, switch_alert
    from auditdeck.stack.elasticsearch import connect, provision
    from auditdeck.stack.kibana import Kibana, export_dashboards, provision_kibana

    progress = Progress()
    if enable or disable or export:
        made = Secrets(secrets)
        desk = Kibana(kibana, made.elastic_password, made.ca, progress)
        for name, on in ((enable, True), (disable, False)):
            if name:
                title = switch_alert(desk, asset("kibana"), name, enable=on)
                shared.say(f"{'enabled' if on else 'disabled'}: {title}")
        if not export:
            return
        for name in export_dashboards(desk, asset("kibana")):
            click.echo(f"changed: {name}")
        return
    progress.step("Host")
    if not ignore_memory:
        check_host(progress)
    if stack_version:
        check_version(secrets / "init", stack_version)
    progress.step("Secrets")
    alternatives = tuple(name.strip() for name in names.split(",") if name.strip())
    wishes = Wishes(elastic_password_file, alternatives, kibana_tls, service_settings)
    made = make_secrets(secrets, wishes, progress)
    progress.step("Elasticsearch")
    cluster = connect(elasticsearch, made, asset("elasticsearch"), progress, patience)
    keep_version(secrets / "init", cluster.version, progress)
    provision(cluster, made, retention_days=retention_days, rotate=rotate)
    if kibana:
        progress.step("Kibana")
        desk = Kibana(kibana, made.elastic_password, made.ca, progress)
        desk.wait(patience)
        provision_kibana(desk, made, asset("kibana"), overwrite=overwrite)
        provision_alerts(desk, made, asset("kibana"), overwrite=overwrite)
    shared.say(f"Done: {progress.changed} changed, {progress.right} right already.")
