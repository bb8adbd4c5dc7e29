//! The one table of routes: role × route × how far. A route can be added here only, and not without its rule: the builder
//! has no other way, so one that nobody thought about does not compile.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use utoipa::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use super::access::{Guard, guard};
use super::app::App;
use super::{
    account, assets, bundles, compliance, dead_letters, description, field, heads, health, join, log,
    observations, outbox, page_routes, people, photos, reports, sessions, sign_ins, timeline, trust, voices,
    watermark,
};
use crate::people::Reach::{All, No, Own, Unit};
use crate::people::{Reach, Rule};

/// What stands above the API's description.
#[derive(OpenApi)]
#[openapi(info(
    title = "吉家湖巡护",
    description = "Patrol reports, photos, voice notes, observations and the evidence timeline. Errors \
    are application/problem+json and name the field; sending the same bytes under the same id again is harmless. \
    Programs send `Authorization: Bearer TOKEN`; browsers hold a cookie and send `X-CSRF-Token` with what changes \
    something (`GET /api/v1/session` tells it)."
))]
struct Api;

/// A route as the table has it.
#[derive(Clone, Debug)]
pub struct Door {
    /// `GET`.
    pub method: &'static str,
    /// `/reports/{id}`.
    pub path: String,
    /// Who may pass.
    pub rule: Rule,
}

/// The routes as they are added.
struct Doors {
    app: App,
    /// What must answer within the time of a request.
    quick: OpenApiRouter<App>,
    /// What may take longer.
    slow: OpenApiRouter<App>,
    table: Vec<Door>,
}

/// Everything behind the doors.
pub(super) struct Built {
    /// What must answer within the time of a request.
    pub quick: Router<App>,
    /// What may take longer.
    pub slow: Router<App>,
    /// The description of the API.
    pub api: utoipa::openapi::OpenApi,
    /// Every door with its rule.
    pub table: Vec<Door>,
}

const fn roles(reaches: [Reach; 10]) -> Rule {
    Rule::Roles(reaches)
}

// How far each role reaches:                        patrol super liaison unit admin viewer machine monitor phone sensor
const READERS: Rule = /*                        */ roles([No, All, All, Unit, All, All, All, No, No, No]);
const HOME: Rule = /*                           */
    roles([Own, All, All, Unit, All, All, No, No, Own, No]);
const READ_ONE: Rule = /*                       */
    roles([Own, All, All, Unit, All, All, All, No, No, No]);
const REPORTERS: Rule = /*                      */ roles([Own, All, No, No, All, No, All, No, Own, No]);
const CORRECTORS: Rule = /*                     */ roles([Own, All, No, No, All, No, No, No, No, No]);
const SEES_COPIES: Rule = /*                    */
    roles([All, All, All, Unit, All, All, All, No, No, No]);
pub(super) const SEES_ORIGINALS: Rule = /*      */ roles([No, All, All, Unit, All, No, No, No, No, No]);
const EXPORTERS: Rule = /*                      */ roles([No, All, All, Unit, All, No, All, No, No, No]);
// Why somebody was excused (病假) is not for everybody who may read.
pub(super) const DUTY: Rule = /*                */ roles([No, All, All, No, All, No, No, No, No, No]);
/// Not a door: who hears at `/readyz` what is wrong, and not only that something is.
pub(super) const TOLD: Rule = /*                */ roles([No, All, All, No, All, No, All, No, No, No]);
const BRINGERS: Rule = /*                       */ roles([No, All, No, No, All, No, All, No, No, No]);
const FIELD: Rule = /*                          */ roles([All, All, No, No, All, No, No, No, Own, No]);
const SENSORS: Rule = /*                        */ roles([No, All, No, No, All, No, All, No, No, All]);
const SUPERVISORS: Rule = /*                    */ roles([No, All, No, No, All, No, No, No, No, No]);
const ADMINS: Rule = /*                         */ roles([No, No, No, No, All, No, No, No, No, No]);
/// Entries as they lie in the log: when what was sent, looked at, changed.
pub(super) const ENTRIES: Rule = /*             */ roles([No, All, All, No, All, No, No, All, No, No]);
/// Whoever has a page or the field app open: they keep heads of the log, so that it can only grow.
const KEEPERS: Rule = /*                        */ roles([All, All, All, All, All, All, No, No, All, No]);
const SIGNED_IN: Rule = /*                      */ roles([All, All, All, All, All, All, No, No, No, No]);

/// The table.
pub(super) fn doors(app: App) -> Built {
    let mut doors = slow(people_api(log_api(evidence_api(pages(Doors::new(app))))));
    let api = doors.quick.get_openapi();
    let (of_timeline, of_duty) = (timeline::exports(api), compliance::exports(api));
    for export in of_timeline {
        doors = doors.export(EXPORTERS, export, get(timeline::export_timeline));
    }
    for export in of_duty {
        doors = doors.export(DUTY, export, get(compliance::export_compliance));
    }
    let (quick, api) = doors.quick.split_for_parts();
    let (slow, slow_api) = doors.slow.split_for_parts();
    let mut api = api.merge_from(slow_api);
    description::complete(&mut api, &doors.table);
    Built { quick, slow, api, table: doors.table }
}

fn pages(doors: Doors) -> Doors {
    doors
        .page(HOME, "GET", "/", get(page_routes::overview))
        .page(READERS, "GET", "/timeline", get(page_routes::timeline))
        .page(READ_ONE, "GET", "/reports/{id}", get(page_routes::report))
        .page(DUTY, "GET", "/patrols", get(page_routes::patrols))
        .page(SUPERVISORS, "GET", "/import", get(page_routes::import))
        .page(ADMINS, "GET", "/people", get(page_routes::people))
        .page(SIGNED_IN, "GET", "/account", get(page_routes::account))
        .page(Rule::Public, "GET", "/login", get(sessions::login_page))
        .page(Rule::Public, "POST", "/login", post(sessions::login_by_page))
        .page(Rule::Public, "GET", "/join", get(page_routes::join))
        .page(Rule::Public, "GET", "/verify", get(page_routes::verify))
        .page(Rule::Public, "GET", "/trust", get(trust::trust_page))
        .page(Rule::Public, "GET", trust::CERTIFICATE, get(trust::get_authority))
        .page(Rule::Public, "GET", "/assets/{*name}", get(assets::get_asset))
        .page(Rule::Public, "GET", "/m", get(field::page))
        .page(Rule::Public, "GET", "/m/", get(field::to_page))
        .page(Rule::Public, "GET", "/m/{name}", get(field::get_file))
        .page(Rule::Public, "GET", "/livez", get(health::livez))
        .page(Rule::Public, "GET", "/readyz", get(health::readyz))
}

fn evidence_api(doors: Doors) -> Doors {
    doors
        .api(REPORTERS, routes!(reports::add_report))
        .api(READ_ONE, routes!(reports::get_report))
        .api(CORRECTORS, routes!(reports::add_correction))
        .api(SUPERVISORS, routes!(reports::add_disclosure))
        .api(REPORTERS, routes!(reports::add_patrol))
        .api(SEES_ORIGINALS, routes!(photos::get_photo))
        .api(REPORTERS, routes!(photos::head_photo))
        .api(REPORTERS, routes!(photos::get_photo_receipt))
        .api(SEES_COPIES, routes!(photos::get_preview))
        .api(SEES_ORIGINALS, routes!(voices::get_voice))
        .api(REPORTERS, routes!(voices::head_voice))
        .api(REPORTERS, routes!(voices::get_voice_receipt))
        .api(FIELD, routes!(field::get_field))
        .api(READ_ONE, routes!(watermark::get_watermarked))
        .api(DUTY, routes!(compliance::get_compliance))
        .api(SENSORS, routes!(observations::add_observations))
        .api(SUPERVISORS, routes!(dead_letters::list_dead_letters))
        .api(READERS, routes!(timeline::list_timeline))
        .api(EXPORTERS, routes!(bundles::get_bundle))
}

/// The log's hashes are published: whoever holds a receipt, a bundle or a print checks it without asking anybody. Its
/// entries are for those who see the whole lake, and for monitors.
fn log_api(doors: Doors) -> Doors {
    doors
        .page(Rule::Public, "GET", "/log/checkpoint", get(log::get_checkpoint))
        .page(Rule::Public, "GET", "/log/tile/{*path}", get(log::get_tile))
        .page(ENTRIES, "GET", "/log/tile/entries/{*path}", get(log::get_entries))
        .api(Rule::Public, routes!(timeline::get_head))
        .api(Rule::Public, routes!(log::get_key))
        .api(Rule::Public, routes!(log::get_inclusion))
        .api(Rule::Public, routes!(log::get_consistency))
        .api(Rule::Public, routes!(log::get_proof))
        .api(KEEPERS, routes!(heads::add_head))
}

fn people_api(doors: Doors) -> Doors {
    doors
        .api(Rule::Public, routes!(sessions::get_session))
        .api(Rule::Public, routes!(sessions::add_session))
        .api(SIGNED_IN, routes!(sessions::end_session))
        .api(SIGNED_IN, routes!(sessions::list_notices, sessions::notices_are_known))
        .api(SIGNED_IN, routes!(account::list_sessions))
        .api(SIGNED_IN, routes!(account::end_sessions))
        .api(SIGNED_IN, routes!(account::change_password))
        .api(SIGNED_IN, routes!(account::change_totp))
        .api(Rule::Public, routes!(join::look_at_invite))
        .api(Rule::Public, routes!(join::use_invite))
        .api(Rule::Public, routes!(join::add_device))
        .api(ADMINS, routes!(people::list_people))
        .api(ADMINS, routes!(people::add_person))
        .api(ADMINS, routes!(people::change_person))
        .api(ADMINS, routes!(people::add_invite))
        .api(ADMINS, routes!(people::set_pin))
        .api(ADMINS, routes!(people::drop_totp))
        .api(ADMINS, routes!(people::unlock_codes))
        .api(ADMINS, routes!(people::end_sessions))
        .api(SUPERVISORS, routes!(people::get_name))
        .api(ADMINS, routes!(people::list_phones))
        .api(ADMINS, routes!(people::invite_phone))
        .api(ADMINS, routes!(people::list_tokens))
        .api(ADMINS, routes!(people::add_token))
        .api(ADMINS, routes!(people::revoke))
        .api(ADMINS, routes!(sign_ins::list_sign_ins))
}

/// What may take longer than a request may.
fn slow(doors: Doors) -> Doors {
    doors
        .slow(EXPORTERS, routes!(bundles::add_bundle))
        .slow(REPORTERS, routes!(photos::put_photo))
        .slow(REPORTERS, routes!(voices::put_voice))
        .slow(BRINGERS, routes!(outbox::add_outbox))
        .slow_page(EXPORTERS, "POST", "/timeline/bundle", post(bundles::bundle_from_page))
}

impl Doors {
    fn new(app: App) -> Self {
        let quick = OpenApiRouter::with_openapi(Api::openapi());
        Self { app, quick, slow: OpenApiRouter::new(), table: Vec::new() }
    }

    fn guarded(
        &mut self,
        rule: Rule,
        methods: &[&'static str],
        path: &str,
        routes: MethodRouter<App>,
    ) -> MethodRouter<App> {
        let door = |method: &&'static str| Door { method, path: path.to_owned(), rule };
        self.table.extend(methods.iter().map(door));
        let guarded = Guard { app: self.app.clone(), rule };
        routes.route_layer(from_fn_with_state(guarded, guard))
    }

    fn page(mut self, rule: Rule, method: &'static str, path: &str, routes: MethodRouter<App>) -> Self {
        let routes = self.guarded(rule, &[method], path, routes);
        self.quick = self.quick.route(path, routes);
        self
    }

    /// A list as a document.
    fn export(
        self,
        rule: Rule,
        (path, item): (String, utoipa::openapi::PathItem),
        routes: MethodRouter<App>,
    ) -> Self {
        // An export is an entry: asking for its head must not make one.
        let mut doors = self.page(rule, "GET", &path, routes.head(timeline::no_head));
        doors.quick.get_openapi_mut().paths.paths.insert(path, item);
        doors
    }

    fn slow_page(mut self, rule: Rule, method: &'static str, path: &str, routes: MethodRouter<App>) -> Self {
        let routes = self.guarded(rule, &[method], path, routes);
        self.slow = self.slow.route(path, routes);
        self
    }

    fn api(mut self, rule: Rule, routes: UtoipaMethodRouter<App>) -> Self {
        let routes = self.described(rule, routes);
        self.quick = self.quick.routes(routes);
        self
    }

    fn slow(mut self, rule: Rule, routes: UtoipaMethodRouter<App>) -> Self {
        let routes = self.described(rule, routes);
        self.slow = self.slow.routes(routes);
        self
    }

    /// The description names path and methods.
    fn described(
        &mut self,
        rule: Rule,
        (schemas, paths, mut routes): UtoipaMethodRouter<App>,
    ) -> UtoipaMethodRouter<App> {
        for (path, item) in &paths.paths {
            let all = [
                ("GET", &item.get),
                ("HEAD", &item.head),
                ("PUT", &item.put),
                ("POST", &item.post),
                ("DELETE", &item.delete),
            ];
            let methods: Vec<_> = all.iter().filter(|(_, there)| there.is_some()).map(|(m, _)| *m).collect();
            routes = self.guarded(rule, &methods, path, routes);
        }
        (schemas, paths, routes)
    }
}
