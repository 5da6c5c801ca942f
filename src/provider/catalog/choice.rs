//! Which model answers a prompt. Pure.

use polytree_protocol::provider::ModelRef;

/// Where a model may be named, strongest first.
#[derive(Debug, Clone, Copy, Default)]
pub struct Candidates<'a> {
    /// The prompt itself.
    pub request: Option<&'a ModelRef>,
    /// The agent.
    pub agent: Option<&'a ModelRef>,
    /// The session's last prompt.
    pub session: Option<&'a ModelRef>,
    /// The settings.
    pub config: Option<&'a ModelRef>,
    /// The default models of the providers that can be used, in their fixed order, the offline model last: see
    /// `Catalog::connected_defaults`.
    pub connected: &'a [ModelRef],
}

/// The first model that is named. A name is never skipped because it cannot be used: that is an error to tell, not
/// a reason to send a prompt elsewhere. Without any name it is the first provider that can be used, and the offline
/// model where there is none.
#[must_use]
pub fn choose(candidates: Candidates<'_>) -> ModelRef {
    let Candidates { request, agent, session, config, connected } = candidates;
    let named = request.or(agent).or(session).or(config).or(connected.first());
    named.cloned().unwrap_or_else(crate::provider::offline::reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_name_wins() {
        let models: Vec<_> = ["a/1", "b/2", "c/3", "d/4", "e/5"].iter().map(|text| ModelRef::parse(text).unwrap()).collect();
        let [request, agent, session, config] = [0, 1, 2, 3].map(|place| Some(&models[place]));
        let all = Candidates { request, agent, session, config, connected: &models[4..] };
        assert_eq!(choose(all), models[0]);
        assert_eq!(choose(Candidates { request: None, ..all }), models[1]);
        assert_eq!(choose(Candidates { request: None, agent: None, ..all }), models[2]);
        assert_eq!(choose(Candidates { request: None, agent: None, session: None, ..all }), models[3]);
        assert_eq!(choose(Candidates { connected: all.connected, ..Candidates::default() }), models[4]);
        assert_eq!(choose(Candidates::default()).to_string(), "offline/guide");
    }
}
