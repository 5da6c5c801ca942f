//! The same report where no daemon runs, or none that answers. Starts and changes nothing.

use std::{sync::Arc, time::Duration};

use polytree_protocol::{
    PROTOCOL_VERSION,
    diagnose::{Diagnosis, DiagnosisHolder, DiagnosisLog, DiagnosisOwner},
    diagnose_machine::{DiagnosisMachine, DiagnosisSettings, DiagnosisStore},
};

use super::{advice, machine, parts, requester::Requester};
use crate::{
    config::Places,
    project::overview,
    sandbox::{self, Sandbox},
    stdx::{tasks::Tasks, time::now_ms, version::version},
    store::check,
    tool::context::Environment,
};

/// The timeout of the check of the store.
const CHECK_TIMEOUT: Duration = Duration::from_secs(20);

/// The report for a client with these variables. `holder` is the process that owns the data directory and did not answer;
/// if there is one, the store is not read.
pub async fn look(places: &Places, environment: &Environment, holder: Option<DiagnosisHolder>) -> Diagnosis {
    let requester = Requester { environment: Arc::clone(environment), ..Requester::default() };
    let machine = machine::look(places.clone(), Arc::clone(environment)).await;
    let abilities = Sandbox::new(&places.data, &[]).abilities().await;
    let (here, has_holder) = (places.clone(), holder.is_some());
    let files = move || {
        let store = parts::files(&here.data);
        let store = if has_holder { store } else { checked(&here, store) };
        (store, parts::settings(overview::user_settings(&here, &requester.environment), &requester))
    };
    let (store, settings) = Tasks::spawn_blocking(files).await.unwrap_or_else(|error| {
        (DiagnosisStore { error: Some(error.to_string()), ..DiagnosisStore::default() }, DiagnosisSettings::default())
    });
    let mut report = Diagnosis {
        time: now_ms(),
        version: version().to_owned(),
        protocol_version: PROTOCOL_VERSION,
        owner: DiagnosisOwner { holder, ..machine::owner(places) },
        log: DiagnosisLog { level: "off".to_owned(), ..DiagnosisLog::default() },
        store,
        machine: machine.unwrap_or_else(|error| DiagnosisMachine { error: Some(error.to_string()), ..DiagnosisMachine::default() }),
        sandbox: Some(sandbox::diagnosis(abilities)),
        settings,
        ..Diagnosis::default()
    };
    report.advice = advice::advise(&report);
    report
}

fn checked(places: &Places, store: DiagnosisStore) -> DiagnosisStore {
    match check::check(places.data.join("polytree.db").as_path(), CHECK_TIMEOUT) {
        Ok(None) => store,
        Ok(Some(found)) => DiagnosisStore { rows: found.whole.then_some(found.rows), check: Some(found.result), ..store },
        Err(error) => {
            let error = error.hint().map_or_else(|| error.to_string(), |hint| format!("{error}: {hint}"));
            DiagnosisStore { error: Some(error), ..store }
        }
    }
}
