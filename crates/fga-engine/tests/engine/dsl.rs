//! The modelling language against OpenFGA's own models.

use crate::support::conformance::cases;
use fga_engine::dsl;
use fga_engine::wire::AuthorizationModel;

/// Empty metadata may be written or left out.
fn normalized(mut model: AuthorizationModel) -> AuthorizationModel {
    for kind in &mut model.type_definitions {
        if let Some(metadata) = &mut kind.metadata {
            metadata
                .relations
                .retain(|_, relation| !relation.directly_related_user_types.is_empty());
        }
        kind.metadata = kind.metadata.take().filter(|metadata| !metadata.relations.is_empty());
    }
    for condition in model.conditions.values_mut() {
        condition.expression = condition.expression.trim().to_owned();
    }
    model
}

#[test]
fn every_model_of_openfgas_test_cases_parses_to_its_json() {
    let mut count = 0;
    for case in cases() {
        for stage in &case.stages {
            let text = stage["model"].as_str().unwrap();
            let expected: AuthorizationModel =
                serde_json::from_value(stage["modelJSON"].clone()).unwrap();
            let parsed = dsl::parse(text);
            let parsed = parsed.unwrap_or_else(|error| panic!("{}: {error}\n{text}", case.name));
            assert_eq!(normalized(parsed), normalized(expected), "{}\n{text}", case.name);
            count += 1;
        }
    }
    assert!(count > 100);
}
