//! The models of a store, by id and in order.

use std::sync::Arc;

use ahash::AHashMap;

use crate::error::EngineError;
use crate::model::Model;

#[derive(Default, Clone)]
pub(crate) struct Models {
    by_id: AHashMap<String, Arc<Model>>,
    /// Oldest first.
    order: Vec<Arc<Model>>,
}

impl Models {
    /// Makes a model the latest one.
    pub(crate) fn add(&mut self, model: Arc<Model>) {
        self.by_id.insert(model.id().to_owned(), Arc::clone(&model));
        self.order.push(model);
    }

    /// A model by id, or the latest one.
    ///
    /// # Errors
    /// `authorization_model_not_found`, or `latest_authorization_model_not_found` of that store.
    pub(crate) fn find(&self, store: &str, id: Option<&str>) -> Result<&Arc<Model>, EngineError> {
        match id.filter(|id| !id.is_empty()) {
            Some(id) => self.by_id.get(id).ok_or_else(|| EngineError::model_not_found(id)),
            None => self.order.last().ok_or_else(|| EngineError::no_model(store)),
        }
    }

    /// Oldest first.
    pub(crate) fn all(&self) -> &[Arc<Model>] {
        &self.order
    }
}
