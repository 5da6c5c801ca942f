//! The models: what a model service is to the rest of the daemon (`definition`), which ones there are (`catalog`),
//! the ways to reach them (remote services, the built-in offline model, scripts for tests and demos), and recordings
//! of what they were asked and what they answered.

pub mod definition;

pub mod catalog;
pub mod catalog_cache;
mod catalog_entry;
pub mod catalog_file;
mod catalog_models;
pub mod choice;
pub mod credentials;
pub mod key_store;
pub mod known_keys;
pub mod local_servers;
mod models_dev;
pub mod refused;
pub mod retry;
pub mod variants;

mod http_date;
pub mod network;
pub mod remote;
mod remote_answer;
mod remote_anthropic;
mod remote_anthropic_stream;
mod remote_body;
mod remote_calls;
pub mod remote_causes;
mod remote_client;
mod remote_decode;
mod remote_error;
mod remote_frames;
mod remote_gemini;
mod remote_gemini_stream;
mod remote_json;
mod remote_media;
mod remote_ollama;
mod remote_ollama_stream;
mod remote_openai;
mod remote_openai_stream;
mod remote_opening;
mod remote_responses;
mod remote_responses_stream;
mod remote_shapes;
mod remote_shorten;
mod remote_stream;
mod remote_text;
mod remote_unreachable;
pub mod remote_wire;

pub mod exchange;
pub mod record;
pub mod replay;
pub mod tapes;

pub mod offline;
mod offline_answer;
mod offline_grammar;
pub mod scripted;

#[cfg(test)]
#[path = "../../tests/support/model_server.rs"]
mod model_server;
#[cfg(test)]
mod remote_anthropic_tests;
#[cfg(test)]
mod remote_compatible_tests;
#[cfg(test)]
mod remote_failure_tests;
#[cfg(test)]
mod remote_key_tests;
#[cfg(test)]
mod remote_network_tests;
#[cfg(test)]
mod remote_openai_tests;
#[cfg(test)]
mod remote_recorded;
#[cfg(test)]
mod remote_testing;
#[cfg(test)]
mod replay_tests;
#[cfg(test)]
#[path = "../../tests/support/way.rs"]
mod way;
