//! Random models, tuples and questions; the same seed gives the same ones.

use serde_json::{Value, json};

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub fn pick<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        &items[self.below(items.len())]
    }
}

const NESTED: [&str; 3] = ["group", "folder", "document"];
const LEAVES: [&str; 2] = ["user", "employee"];
const RELATIONS: [&str; 4] = ["r0", "r1", "r2", "r3"];
const CONDITIONS: [&str; 4] = ["less", "same", "both", "listed"];

/// A model with conditions; often, but not always, a valid one.
pub fn model(random: &mut Random) -> Value {
    let mut types: Vec<Value> = LEAVES.iter().map(|kind| json!({"type": kind})).collect();
    for kind in NESTED {
        let mut relations = json!({"parent": {"this": {}}});
        let mut metadata = json!({"parent": {"directly_related_user_types": parents(random)}});
        for relation in RELATIONS {
            let rewrite = rewrite(random, relation, 2);
            if rewrite.to_string().contains("\"this\"") {
                let types = restrictions(random);
                metadata[relation] = json!({"directly_related_user_types": types});
            }
            relations[relation] = rewrite;
        }
        types.push(
            json!({"type": kind, "relations": relations, "metadata": {"relations": metadata}}),
        );
    }
    json!({
        "schema_version": if random.chance(80) { "1.1" } else { "1.2" },
        "type_definitions": types,
        "conditions": {
            "less": {"name": "less", "expression": "x < 100", "parameters": {"x": {"type_name": "TYPE_NAME_INT"}}},
            "same": {"name": "same", "expression": "s == 'a' || s.startsWith('b')", "parameters": {"s": {"type_name": "TYPE_NAME_STRING"}}},
            "both": {"name": "both", "expression": "x > 3 && y", "parameters": {
                "x": {"type_name": "TYPE_NAME_INT"}, "y": {"type_name": "TYPE_NAME_BOOL"}}},
            "listed": {"name": "listed", "expression": "s in l", "parameters": {
                "s": {"type_name": "TYPE_NAME_STRING"},
                "l": {"type_name": "TYPE_NAME_LIST", "generic_types": [{"type_name": "TYPE_NAME_STRING"}]}}},
        },
    })
}

fn parents(random: &mut Random) -> Vec<Value> {
    let mut types = vec![json!({"type": random.pick(&NESTED)})];
    if random.chance(50) {
        types.push(json!({"type": random.pick(&NESTED)}));
    }
    if random.chance(20) {
        types.push(json!({"type": random.pick(&NESTED), "condition": random.pick(&CONDITIONS)}));
    }
    if random.chance(10) {
        types.push(json!({"type": "user"}));
    }
    types
}

fn restrictions(random: &mut Random) -> Vec<Value> {
    let count = 1 + random.below(4);
    (0..count)
        .map(|_| {
            let mut reference = match random.below(10) {
                0..=3 => json!({"type": random.pick(&LEAVES)}),
                4 => json!({"type": random.pick(&LEAVES), "wildcard": {}}),
                5 => json!({"type": random.pick(&NESTED)}),
                _ => json!({"type": random.pick(&NESTED), "relation": random.pick(&RELATIONS)}),
            };
            if random.chance(20) {
                reference["condition"] = json!(random.pick(&CONDITIONS));
            }
            reference
        })
        .collect()
}

fn rewrite(random: &mut Random, own: &str, depth: usize) -> Value {
    let roll = if depth == 0 { random.below(6) } else { random.below(11) };
    match roll {
        0..=2 => json!({"this": {}}),
        3 => {
            let relation = *random.pick(&RELATIONS);
            if relation == own {
                json!({"this": {}})
            } else {
                json!({"computedUserset": {"relation": relation}})
            }
        }
        4..=5 => json!({"tupleToUserset": {
            "tupleset": {"relation": "parent"}, "computedUserset": {"relation": random.pick(&RELATIONS)}}}),
        6..=7 => json!({"union": {"child": children(random, own, depth)}}),
        8 => json!({"intersection": {"child": children(random, own, depth)}}),
        _ => json!({"difference": {
            "base": rewrite(random, own, depth - 1), "subtract": rewrite(random, own, depth - 1)}}),
    }
}

fn children(random: &mut Random, own: &str, depth: usize) -> Vec<Value> {
    (0..2 + random.below(2)).map(|_| rewrite(random, own, depth - 1)).collect()
}

fn object(random: &mut Random, kinds: &[&str]) -> String {
    format!("{}:{}", random.pick(kinds), random.below(3))
}

fn user(random: &mut Random) -> String {
    match random.below(20) {
        0..=9 => object(random, &LEAVES),
        10..=11 => format!("{}:*", random.pick(&LEAVES)),
        12..=13 => object(random, &NESTED),
        _ => format!("{}#{}", object(random, &NESTED), random.pick(&RELATIONS)),
    }
}

/// A tuple that the model's restrictions allow.
pub fn tuple(random: &mut Random, model: &Value) -> Option<Value> {
    let kind = *random.pick(&NESTED);
    let relation = if random.chance(30) { "parent" } else { *random.pick(&RELATIONS) };
    let types = model["type_definitions"].as_array()?;
    let definition = types.iter().find(|definition| definition["type"] == kind)?;
    let allowed = &definition["metadata"]["relations"][relation]["directly_related_user_types"];
    let reference = random.pick(allowed.as_array()?);
    let user_kind = reference["type"].as_str()?;
    let user = if reference["wildcard"].is_object() {
        format!("{user_kind}:*")
    } else if let Some(userset) = reference["relation"].as_str() {
        format!("{}#{userset}", object(random, &[user_kind]))
    } else {
        object(random, &[user_kind])
    };
    let mut tuple = json!({"object": object(random, &[kind]), "relation": relation, "user": user});
    if let Some(condition) = reference["condition"].as_str() {
        let context = if random.chance(40) { context(random, condition) } else { json!({}) };
        tuple["condition"] = json!({"name": condition, "context": context});
    }
    Some(tuple)
}

/// Some of the condition's parameters.
fn context(random: &mut Random, condition: &str) -> Value {
    let mut context = json!({});
    let names: &[&str] = match condition {
        "less" => &["x"],
        "same" => &["s"],
        "both" => &["x", "y"],
        _ => &["s", "l"],
    };
    for name in names {
        if random.chance(70) {
            context[*name] = parameter(random, name);
        }
    }
    context
}

fn parameter(random: &mut Random, name: &str) -> Value {
    match name {
        "x" => random.pick(&[json!(1), json!(5), json!(150), json!("7")]).clone(),
        "s" => random.pick(&[json!("a"), json!("bc"), json!("z")]).clone(),
        "y" => json!(random.chance(60)),
        _ => json!(["a", "z"]),
    }
}

/// A check, with contextual tuples and a context now and then.
pub fn check(random: &mut Random, model: &Value, id: usize) -> Value {
    let relation = if random.chance(99) { *random.pick(&RELATIONS) } else { "nowhere" };
    let mut check = json!({
        "tuple_key": {"user": user(random), "relation": relation, "object": object(random, &NESTED)},
        "correlation_id": id.to_string(),
    });
    if random.chance(15) {
        let tuples: Vec<Value> =
            (0..1 + random.below(3)).filter_map(|_| tuple(random, model)).collect();
        check["contextual_tuples"] = json!({"tuple_keys": tuples});
    }
    let mut context = json!({});
    for name in ["x", "s", "y", "l"] {
        if random.chance(80) {
            context[name] = parameter(random, name);
        }
    }
    if random.chance(3) {
        context["x"] = json!("no number");
    }
    check["context"] = context;
    check
}
