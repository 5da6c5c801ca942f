//! `polytree doctor`: the state of the daemon, or of the machine where none runs, and what to do about problems. Starts
//! nothing.

use std::time::Duration;

use polytree_protocol::{
    diagnose::{Diagnosis, DiagnosisHolder, ServerDiagnoseParams},
    diagnose_machine::Severity,
    methods::ServerDiagnose,
};

use super::doctor_page;
use crate::{
    cli::{
        args::DoctorArgs,
        client::{Daemon, Exit, Failure},
        screen::Screen,
    },
    config::Places,
    daemon::diagnose::{advice, offline},
    stdx::{paths::AbsPath, version::version},
    store::{LockState, Owner, Ownership},
    tool::context::Environment,
};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The daemon of a data directory, as it was found.
pub enum Running {
    Daemon(Daemon),
    /// A process owns the directory and does not answer, for this reason.
    Silent(Option<Owner>, String),
    /// The directory has no owner.
    Nobody,
}

pub struct DoctorContext<'a> {
    pub places: &'a Places,
    pub environment: &'a Environment,
    /// The directory whose settings are checked.
    pub directory: &'a AbsPath,
}

/// Runs the command; returns [`Exit::Failed`] if there is an advice of severity `error`.
pub async fn doctor(args: &DoctorArgs, running: Running, context: DoctorContext<'_>, screen: &mut Screen) -> Exit {
    let report = examine(running, &context).await;
    match show(args, &report, screen) {
        Ok(()) if report.advice.iter().any(|advice| advice.severity == Severity::Error) => Exit::Failed,
        Ok(()) => Exit::Done,
        Err(failure) => {
            if !failure.is_broken_pipe() {
                screen.status(&failure.shown());
            }
            failure.exit()
        }
    }
}

async fn examine(running: Running, context: &DoctorContext<'_>) -> Diagnosis {
    let holder = match running {
        Running::Nobody => None,
        Running::Silent(owner, problem) => Some(holder(owner, problem)),
        Running::Daemon(daemon) => match ask(&daemon, context.directory).await {
            Ok(report) => return report,
            Err(problem) => match Ownership::lock_state(context.places.data.as_path()) {
                LockState::Owned(owner) => Some(holder(owner, problem)),
                // It has exited meanwhile.
                LockState::Free(_) => None,
            },
        },
    };
    offline::look(context.places, context.environment, holder).await
}

fn holder(owner: Option<Owner>, problem: String) -> DiagnosisHolder {
    let (pid, version) = owner.map_or_else(Default::default, |owner| (owner.pid, owner.version));
    DiagnosisHolder { pid, version, problem }
}

async fn ask(daemon: &Daemon, directory: &AbsPath) -> Result<Diagnosis, String> {
    let params = ServerDiagnoseParams { directory: Some(directory.to_string()), ..ServerDiagnoseParams::default() };
    let mut report = match tokio::time::timeout(ANSWER_TIMEOUT, daemon.request::<ServerDiagnose>(&params)).await {
        Ok(answer) => answer.map_err(|failure| failure.to_string())?,
        Err(_) => return Err(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())),
    };
    if let Some(found) = advice::newer_client(&report, version()).filter(|found| report.advice.iter().all(|advice| advice.id != found.id)) {
        report.advice.push(found);
        report.advice.sort_by_key(|advice| advice.severity);
    }
    Ok(report)
}

fn show(args: &DoctorArgs, report: &Diagnosis, screen: &mut Screen) -> Result<(), Failure> {
    if args.json {
        let line = serde_json::to_string(report).map_err(Failure::Shape)?;
        screen.text(&(line + "\n"))?;
    } else {
        screen.styled(&doctor_page::page(report))?;
    }
    Ok(())
}
