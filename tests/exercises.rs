//! Exercises, workshops and settings as they are read from files.

#[path = "common/private_engine.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod private_engine;

mod exercises {
    mod catalogue;
    mod images;
    mod manual;
    mod mistakes;
    mod schema;
    mod skeleton;
    mod stacks;
}
