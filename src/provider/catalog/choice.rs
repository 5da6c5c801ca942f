//! Chooses the model for a prompt. Pure.

use polytree_protocol::provider::ModelRef;

/// The places that may name a model, in descending precedence.
#[derive(Debug, Clone, Copy, Default)]
pub struct Candidates<'a> {
    pub request: Option<&'a ModelRef>,
    pub agent: Option<&'a ModelRef>,
    pub session: Option<&'a ModelRef>,
    pub config: Option<&'a ModelRef>,
    /// The default models of the usable providers, in their fixed order, the offline model last: see
    /// `Catalog::connected_defaults`.
    pub connected: &'a [ModelRef],
}

/// The first named model. A name is never skipped because the model cannot be used: that is an error, and not a reason
/// to send the prompt to another service. Without a name it is the default of the first usable provider, or the offline
/// model.
pub fn choose(candidates: Candidates<'_>) -> ModelRef {
    let Candidates { request, agent, session, config, connected } = candidates;
    let named = request.or(agent).or(session).or(config).or(connected.first());
    named.cloned().unwrap_or_else(crate::provider::offline::reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_in_order_of_precedence_wins() {
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
