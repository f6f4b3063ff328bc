//! Sockets, pipes, timers and children come and go, and nothing is left of them. In a process of its own, whose descriptors,
//! threads and memory nobody else changes.

use examples::page::Page;
use examples::soak;

#[test]
fn nothing_is_left_after_a_short_soak() {
    let page = Page::memory();
    let soaked = soak::run(3_000, &page);
    assert!(soaked.is_ok(), "{soaked:?}\n{}", page.text());
    assert!(page.text().ends_with("nothing is left\n"), "{}", page.text());
    assert!(page.text().contains("after 3000 things"), "{}", page.text());
}
