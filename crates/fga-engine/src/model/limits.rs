//! Sizes and spellings that OpenFGA's API enforces before it looks at a model's meaning
//! (`openfga/api`, the validation rules in `authzmodel.proto`).

use super::walk::walk;
use crate::error::{EngineError, ErrorCode};
use crate::wire::{AuthorizationModel, ConditionDefinition, ParameterType, Userset};

const MAX_TYPES: usize = 100;
const MAX_CONDITIONS: usize = 25;
const MAX_PARAMETERS: usize = 25;
const MAX_GENERICS: usize = 5;
const MAX_EXPRESSION: usize = 512;
const MAX_KIND: usize = 254;
const MAX_NAME: usize = 50;
/// OpenFGA measures the protobuf encoding; our JSON of the same model is never smaller,
/// so the JSON gets twice the room.
const MAX_MODEL: usize = 512 * 1024;

/// # Errors
/// The code and message of the first limit that the model exceeds.
pub(crate) fn enforce(model: &AuthorizationModel) -> Result<(), EngineError> {
    if model.type_definitions.is_empty() {
        return Err(EngineError::new(
            ErrorCode::TypeDefinitionsTooFewItems,
            "invalid WriteAuthorizationModelRequest.TypeDefinitions: value must contain at least 1 item(s)",
        ));
    }
    if model.type_definitions.len() > MAX_TYPES {
        return Err(EngineError::new(
            ErrorCode::ExceededEntityLimit,
            format!(
                "The number of type definitions in an authorization model exceeds the allowed limit of {MAX_TYPES}"
            ),
        ));
    }
    if model.conditions.len() > MAX_CONDITIONS {
        return Err(invalid(
            "WriteAuthorizationModelRequest.Conditions: value must contain no more than 25 pair(s)",
        ));
    }
    for kind in &model.type_definitions {
        if !is_name(&kind.kind, MAX_KIND) {
            return Err(EngineError::new(
                ErrorCode::TypeInvalidPattern,
                r#"invalid TypeDefinition.Type: value does not match regex pattern "^[^:#@\\s]{1,254}$""#,
            ));
        }
        for (name, rewrite) in &kind.relations {
            if !is_name(name, MAX_NAME) {
                return Err(invalid(&format!(
                    "TypeDefinition.Relations[{name}]: value does not match regex pattern"
                )));
            }
            enforce_rewrite(rewrite)?;
        }
        let metadata = kind.metadata.iter().flat_map(|metadata| metadata.relations.values());
        for reference in metadata.flat_map(|metadata| &metadata.directly_related_user_types) {
            let relation = reference.relation.as_deref().filter(|relation| !relation.is_empty());
            let condition = Some(reference.condition.as_str()).filter(|name| !name.is_empty());
            if !is_name(&reference.kind, MAX_KIND)
                || relation.is_some_and(|name| !is_name(name, MAX_NAME))
                || condition.is_some_and(|name| !is_name(name, MAX_NAME))
            {
                return Err(invalid("RelationReference: value does not match regex pattern"));
            }
        }
    }
    model.conditions.iter().try_for_each(|(name, condition)| enforce_condition(name, condition))?;
    enforce_size(model)
}

fn enforce_rewrite(rewrite: &Userset) -> Result<(), EngineError> {
    let mut longest = 0;
    walk(rewrite, &mut |userset| {
        let ttu = userset.tuple_to_userset.as_ref();
        let names = [
            userset.computed_userset.as_ref(),
            ttu.and_then(|t| t.tupleset.as_ref()),
            ttu.and_then(|t| t.computed_userset.as_ref()),
        ];
        longest = names.into_iter().flatten().map(|n| n.relation.len()).fold(longest, usize::max);
    });
    if longest <= MAX_NAME {
        return Ok(());
    }
    Err(EngineError::new(
        ErrorCode::RelationTooLong,
        "invalid ObjectRelation.Relation: value length must be at most 50 bytes",
    ))
}

fn enforce_condition(key: &str, condition: &ConditionDefinition) -> Result<(), EngineError> {
    if !is_name(key, MAX_NAME) || !is_name(&condition.name, MAX_NAME) {
        return Err(invalid(
            r#"Condition.Name: value does not match regex pattern "^[^:#@\\s]{1,50}$""#,
        ));
    }
    if condition.expression.len() > MAX_EXPRESSION {
        return Err(invalid("Condition.Expression: value length must be at most 512 bytes"));
    }
    if condition.parameters.len() > MAX_PARAMETERS {
        return Err(invalid("Condition.Parameters: value must contain no more than 25 pair(s)"));
    }
    for (name, parameter) in &condition.parameters {
        if !is_name(name, MAX_NAME) {
            return Err(invalid(&format!(
                "Condition.Parameters[{name}]: value does not match regex pattern"
            )));
        }
        if !has_few_generics(parameter) {
            return Err(invalid(
                "ConditionParamTypeRef.GenericTypes: value must contain no more than 5 item(s)",
            ));
        }
    }
    Ok(())
}

fn has_few_generics(parameter: &ParameterType) -> bool {
    parameter.generic_types.len() <= MAX_GENERICS
        && parameter.generic_types.iter().all(has_few_generics)
}

fn enforce_size(model: &AuthorizationModel) -> Result<(), EngineError> {
    let size = serde_json::to_string(model).map_or(usize::MAX, |json| json.len());
    if size <= MAX_MODEL {
        return Ok(());
    }
    let message = format!("model exceeds size limit: {size} bytes vs {MAX_MODEL} bytes");
    Err(EngineError::new(ErrorCode::ExceededEntityLimit, message))
}

/// `^[^:#@\s]{1,max}$`, counted in characters; Go's `\s` is ASCII only.
fn is_name(text: &str, max: usize) -> bool {
    let refused = [':', '#', '@', ' ', '\t', '\n', '\r', '\u{c}'];
    !text.is_empty() && !text.contains(refused) && text.chars().count() <= max
}

fn invalid(message: &str) -> EngineError {
    EngineError::validation(format!("invalid {message}"))
}
