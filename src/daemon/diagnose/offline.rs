//! The same report where no daemon runs, or none that answers: what can be told by looking. Starts nothing and changes
//! nothing.

use std::{sync::Arc, time::Duration};

use polytree_protocol::{
    PROTOCOL_VERSION,
    diagnose::{Diagnosis, DiagnosisHolder, DiagnosisLog, DiagnosisOwner},
    diagnose_machine::{DiagnosisMachine, DiagnosisSettings, DiagnosisStore},
};

use super::{
    advice, machine,
    part::{Asker, Missing},
    parts,
};
use crate::{
    config::Places,
    project::overview::Outlook,
    sandbox::{self, Sandbox},
    stdx::{tasks::Tasks, time::now_ms, version::version},
    store::check,
    tool::context::Environment,
};

/// The timeout of the check of the store.
const CHECK_TIMEOUT: Duration = Duration::from_secs(20);

/// What there is to tell about these places for a client with these variables. `holder` is who owns the data directory
/// and did not answer; then the store is left alone.
pub async fn look(places: &Places, environment: &Environment, holder: Option<DiagnosisHolder>) -> Diagnosis {
    let asker = Asker { environment: Arc::clone(environment), ..Asker::default() };
    let machine = machine::look(places.clone(), Arc::clone(environment)).await;
    let abilities = Sandbox::new(&places.data, &[]).abilities().await;
    let (wanted, variables, alone) = (places.clone(), Arc::clone(environment), holder.is_none());
    let looked = Tasks::spawn_blocking(move || {
        let mut store = parts::files(&wanted);
        if alone {
            look_into(&wanted, &mut store);
        }
        (store, Outlook::of_user(&wanted, &variables))
    });
    let (store, settings) = match looked.await {
        Ok((store, outlook)) => (store, parts::settings(outlook.map_err(Missing::Failed), &asker)),
        Err(error) => (DiagnosisStore { error: Some(error.to_string()), ..DiagnosisStore::default() }, DiagnosisSettings::default()),
    };
    let (user_id, user_name) = machine::user();
    let mut report = Diagnosis {
        time: now_ms(),
        version: version().to_owned(),
        protocol_version: PROTOCOL_VERSION,
        owner: DiagnosisOwner { user_id, user_name, data_directory: places.data.to_string(), start: None, holder },
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

fn look_into(places: &Places, store: &mut DiagnosisStore) {
    match check::check(places.data.join("polytree.db").as_path(), CHECK_TIMEOUT) {
        Ok(None) => {}
        Ok(Some(found)) => {
            store.rows = found.whole.then(|| parts::rows(found.rows));
            store.check = Some(found.result);
        }
        Err(error) => store.error = Some(error.hint().map_or_else(|| error.to_string(), |hint| format!("{error}: {hint}"))),
    }
}
