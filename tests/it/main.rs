//! Integration tests: the service over real sockets, on both engines, with a pool of one connection.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod account_reconciliation;
mod admin_bulk;
mod admin_export;
mod admin_image;
mod admin_images;
mod admin_lists;
mod admin_sign_in;
mod admin_upload;
mod admin_users;
mod admin_workbench;
mod api_auth;
mod api_delivery_urls;
mod api_file_uploads;
mod api_forms;
mod api_html;
mod api_images;
mod api_lists;
mod api_registration;
mod api_sessions;
mod api_stats;
mod api_transform;
mod api_uploads;
mod api_usages;
mod browsers;
mod bulk_runs;
mod cleanup;
mod cli;
mod cli_images;
mod cli_logs;
mod cli_openapi;
mod cli_url;
mod cloudflare_client;
mod cloudflare_faults;
mod counts;
mod custom_users;
mod deletions;
mod docs_page;
mod documents;
mod emulator;
mod emulator_memory;
mod faults;
mod golden;
mod health;
mod http;
mod imports;
mod jobs;
mod jobs_leftovers;
mod jobs_polling;
mod limits;
mod logs;
mod main_job;
mod metrics;
mod migrations;
mod openapi;
mod reconciliation;
mod registration;
mod sign_in;
mod staff_actions;
mod store;
mod support;
mod usages;
mod webhook;
mod webhook_cli;
mod webhook_safety;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut suite = support::suite::Suite::new();
    for register in [
        account_reconciliation::register,
        admin_bulk::register,
        admin_export::register,
        admin_image::register,
        admin_images::register,
        admin_lists::register,
        admin_sign_in::register,
        admin_upload::register,
        admin_workbench::register,
        admin_users::register,
        api_auth::register,
        api_delivery_urls::register,
        api_file_uploads::register,
        api_forms::register,
        api_html::register,
        api_images::register,
        api_lists::register,
        api_sessions::register,
        api_stats::register,
        api_transform::register,
        api_uploads::register,
        browsers::register,
        bulk_runs::register,
        cleanup::register,
        api_registration::register,
        api_usages::register,
        cli::register,
        cli_images::register,
        cli_logs::register,
        cli_openapi::register,
        cli_url::register,
        cloudflare_faults::register,
        cloudflare_client::register,
        counts::register,
        custom_users::register,
        deletions::register,
        docs_page::register,
        documents::register,
        emulator::register,
        emulator_memory::register,
        faults::register,
        golden::register,
        http::register,
        imports::register,
        jobs::register,
        jobs_leftovers::register,
        jobs_polling::register,
        limits::register,
        logs::register,
        main_job::register,
        metrics::register,
        health::register,
        migrations::register,
        openapi::register,
        sign_in::register,
        staff_actions::register,
        reconciliation::register,
        registration::register,
        store::register,
        usages::register,
        webhook::register,
        webhook_cli::register,
        webhook_safety::register,
    ] {
        register(&mut suite);
    }
    support::emulator::conclude(suite.run())
}
