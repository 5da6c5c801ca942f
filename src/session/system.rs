//! The system prompt: who the model is, where it works, and the rules of the project. The most stable text first, so
//! that a provider's prompt cache keeps it.

use super::workspace::Workspace;

const DEFAULT: &str = include_str!("system.md");

/// The system texts: the prompt of request, agent or program, then the environment with the project's instructions.
/// `date` is what the model shall believe today is, as `2026-01-31`.
pub(super) fn system(workspace: &Workspace, prompt: Option<&str>, model: &str, date: &str) -> Vec<String> {
    let mut second = format!(
        "Here is what is known about the environment:\n<env>\n  Model: {model}\n  Working directory: {}\n  Top of the checkout: {}\n  Is a git repository: {}\n  Platform: {}\n  Today's date: {date}\n</env>",
        workspace.directory,
        workspace.worktree,
        if workspace.git { "yes" } else { "no" },
        std::env::consts::OS,
    );
    for text in &workspace.instructions {
        second.push_str("\n\n");
        second.push_str(text);
    }
    vec![prompt.unwrap_or(DEFAULT).to_owned(), second]
}

/// The day of a time in milliseconds since 1970, in UTC: `2026-01-31`.
#[must_use]
pub(super) fn day(now: i64) -> String {
    // Civil date from days, after Howard Hinnant's published algorithm.
    let days = now.div_euclid(86_400_000) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// What the plan agent is reminded of with every prompt; not stored.
pub(super) const PLAN_REMINDER: &str = "<system-reminder>\nPlan mode is on: look, think and propose, but change nothing. Do not edit files and do not run commands that change anything, whatever was said before. End with a plan that the user can approve.\n</system-reminder>";

/// What the build agent is told after a plan; not stored.
pub(super) const BUILD_REMINDER: &str = "<system-reminder>\nPlan mode is off: files may be changed and commands may be run again. If there is a plan above, carry it out.\n</system-reminder>";

#[cfg(test)]
mod tests {
    #[test]
    fn days_are_civil_dates() {
        for (time, expected) in [(0, "1970-01-01"), (951_782_400_000, "2000-02-29"), (1_795_305_600_000, "2026-11-22"), (-1, "1969-12-31")]
        {
            assert_eq!(super::day(time), expected);
        }
    }
}
