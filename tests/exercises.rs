//! Exercises, workshops and settings as they are read from files.

mod exercises {
    mod catalogue;
    mod manual;
    mod mistakes;
    mod schema;
    mod skeleton;
    mod stacks;
}
