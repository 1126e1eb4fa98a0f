//! The recorded exchanges of the toolkit, replayed against the service on both engines.
//!
//! A trial per scenario: `golden::SCENARIO::ENGINE`. It fails with all exchanges that come out differently, but for those in
//! `tests/fixtures/django/differences.toml`, which must come out as they are listed there.

mod cloudflare;
mod compare;
mod differences;
mod http;
mod json;
mod placeholders;
mod recording;
mod replay;
mod seed;

use crate::support::suite::Suite;

pub(crate) fn register(suite: &mut Suite) {
    suite.test("golden::placeholders_accept_what_they_stand_for", placeholders::accept_what_they_stand_for);
    suite.test("golden::the_comparison_finds_every_difference", compare::finds_every_difference);
    suite.test(
        "golden::the_scripted_cloudflare_sees_ids_that_are_not_one_segment",
        cloudflare::sees_ids_that_are_not_one_segment,
    );
    suite.test("golden::listed_differences_excuse_nothing_else", differences::excuse_nothing_else);
    suite.test("golden::listed_differences_are_explained_to_users", differences::are_explained_to_users);
    suite.on_both_engines("golden::the_seed_is_in_djangos_form", seed::is_in_djangos_form);
    for name in recording::scenario_names() {
        let name: &'static str = name.leak();
        suite.on_both_engines(&format!("golden::{name}"), move |engine| replay::run(engine, name));
    }
}
