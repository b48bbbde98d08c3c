/* Progress widgets on any page. Each polls until its run has ended. */

import { poll } from "../polling/poll.js";

const NEW = "[data-tasktree-status]:not([data-tasktree-live])";

function showBar(widget, progress) {
    const bar = widget.querySelector("[role=progressbar]");
    bar.setAttribute("aria-valuenow", Math.round(100 * progress.fraction));
    bar.setAttribute("aria-valuetext", progress.text);
    for (const part of progress.segments) {
        const rect = bar.querySelector(`.tasktree-widget-${part.name}`);
        rect.setAttribute("x", part.x);
        rect.setAttribute("width", part.width);
    }
    widget.querySelector(".tasktree-widget-text").textContent = progress.text;
}

function showState(widget, answer) {
    widget.className = `tasktree-widget tasktree-widget-${answer.state.toLowerCase()}`;
    const state = widget.querySelector(".tasktree-widget-state");
    // Change the text only if it differs, because screen readers announce each change.
    if (state.textContent !== answer.state_label) {
        state.textContent = answer.state_label;
    }
}

function dispatch(widget, name, answer) {
    widget.dispatchEvent(new CustomEvent(name, { bubbles: true, detail: answer }));
}

function show(widget, answer) {
    showState(widget, answer);
    showBar(widget, answer.progress);
    dispatch(widget, "tasktree:progress", answer);
    // The nodes of a large run may not have been counted yet.
    const isLast = answer.is_over && answer.progress.is_counted;
    if (isLast) {
        dispatch(widget, "tasktree:ended", answer);
        if (widget.dataset.tasktreeReload) {
            location.reload();
        }
    }
    return !isLast;
}

function start(widget) {
    widget.dataset.tasktreeLive = "1";
    if (!widget.dataset.tasktreeOver) {
        const notice = widget.querySelector(".tasktree-widget-stale");
        poll(
            () => widget.dataset.tasktreeStatus,
            (answer) => show(widget, answer),
            { part: widget, notice },
        );
    }
}

const startAll = () => document.querySelectorAll(NEW).forEach(start);

startAll();
// A module runs only once, so watch for widgets that other scripts insert into the page later.
new MutationObserver(startAll).observe(document.documentElement, { childList: true, subtree: true });
