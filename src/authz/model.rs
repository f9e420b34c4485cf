//! The pinned authorization model, and what the rules must know of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde_json::Value;
use tokio::sync::watch;

use super::client::OpenFga;
use super::fault::CheckFault;
use super::outage::OutageLog;
use crate::clock::SharedClock;

/// Time between look-ups while no model is known.
const RETRY_WITHOUT_MODEL: Duration = Duration::from_secs(1);

/// One authorization model: its id and which relations its types define.
#[derive(Debug)]
pub struct Model {
    /// OpenFGA's id (a ULID).
    pub id: String,
    /// Counts the models that this process has pinned; part of every cache key.
    pub generation: u32,
    relations: HashMap<String, HashSet<String>>,
}

impl Model {
    /// Reads the `authorization_model` object of OpenFGA's API.
    pub fn parse(value: &Value, generation: u32) -> Option<Self> {
        // A check that names no model is answered by whichever is the latest.
        let id = value.get("id")?.as_str().filter(|id| !id.is_empty())?.to_owned();
        let mut relations = HashMap::new();
        for definition in value.get("type_definitions")?.as_array()? {
            let name = definition.get("type")?.as_str()?.to_owned();
            let names = definition.get("relations").and_then(Value::as_object);
            let names = names.map(|map| map.keys().cloned().collect()).unwrap_or_default();
            relations.insert(name, names);
        }
        Some(Self { id, generation, relations })
    }

    /// Whether `object_type` defines `relation`; `None` when there is no such type.
    pub fn defines(&self, object_type: &str, relation: &str) -> Option<bool> {
        self.relations.get(object_type).map(|names| names.contains(relation))
    }
}

/// The model in force, for everybody who asks.
#[derive(Debug, Default)]
pub struct ModelWatch {
    current: ArcSwapOption<Model>,
    fault: ArcSwapOption<CheckFault>,
    outages: OutageLog,
    generations: watch::Sender<u32>,
}

impl ModelWatch {
    /// The model in force, once one is known.
    pub fn current(&self) -> Option<Arc<Model>> {
        self.current.load_full()
    }

    /// Why the last look-up failed, if it did.
    pub fn fault(&self) -> Option<Arc<CheckFault>> {
        self.fault.load_full()
    }

    pub(super) fn set_fault(&self, fault: Option<Arc<CheckFault>>) {
        self.fault.store(fault);
    }

    /// What the log was told; those who look up and those who check tell it once.
    pub(super) fn outages(&self) -> &OutageLog {
        &self.outages
    }

    /// Announces the generation of every model that comes into force.
    pub fn subscribe(&self) -> watch::Receiver<u32> {
        self.generations.subscribe()
    }

    /// Puts a model into force unless it is already; remembered decisions of another model no longer
    /// match.
    pub fn pin(&self, value: &Value) -> Option<Arc<Model>> {
        let id = value.get("id")?.as_str()?;
        if let Some(current) = self.current().filter(|current| current.id == id) {
            return Some(current);
        }
        let generation = self.generations.borrow().wrapping_add(1);
        let model = Arc::new(Model::parse(value, generation)?);
        self.current.store(Some(Arc::clone(&model)));
        self.generations.send_replace(generation);
        Some(model)
    }
}

/// Keeps `watch` at the configured model, or at the latest of the store.
pub struct ModelRefresh {
    /// Whom to ask.
    pub client: OpenFga,
    /// A fixed model, or the latest.
    pub model_id: Option<String>,
    /// What is kept up to date.
    pub watch: Arc<ModelWatch>,
    /// Time between look-ups once a model is known; while none is, every second.
    pub interval: Duration,
    /// Time.
    pub clock: SharedClock,
}

impl ModelRefresh {
    /// Runs until `shutdown`.
    pub async fn run(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        loop {
            let outcome = self.refresh().await;
            let known = self.watch.current().is_some();
            let pause = if known { self.interval } else { RETRY_WITHOUT_MODEL };
            self.report(outcome, pause);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = shutdown.changed() => return,
            }
        }
    }

    fn report(&self, outcome: Result<(), CheckFault>, pause: Duration) {
        let fault = outcome.err().map(Arc::new);
        self.watch.set_fault(fault.clone());
        let (outages, address) = (self.watch.outages(), self.client.address());
        match fault {
            Some(fault) => outages.lookup_failed(&fault, address, pause, self.clock.now()),
            None => outages.answered(Some(address)),
        }
    }

    async fn refresh(&self) -> Result<(), CheckFault> {
        let value = match &self.model_id {
            Some(id) => self.client.model(id).await?,
            None => self.client.latest_model().await?.ok_or(CheckFault::NoModel)?,
        };
        let before = self.watch.current().map(|model| model.generation);
        let model = self.watch.pin(&value).ok_or_else(|| CheckFault::Unintelligible {
            cause: "the authorization model has no id or no type definitions".to_owned(),
        })?;
        if before != Some(model.generation) {
            tracing::info!(model_id = %model.id, "authorization model in force");
        }
        Ok(())
    }
}
