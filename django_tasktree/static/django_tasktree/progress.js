/* Progress of runs on any page: each widget asks until its run has ended. */
"use strict";

(function () {
    function show(widget, answer) {
        const progress = answer.progress;
        widget.className = "tasktree-widget tasktree-widget-" + answer.state.toLowerCase();
        const bar = widget.querySelector("[role=progressbar]");
        bar.setAttribute("aria-valuenow", Math.round(100 * progress.fraction));
        bar.setAttribute("aria-valuetext", progress.text);
        for (const part of progress.segments) {
            const rect = bar.querySelector(".tasktree-widget-" + part.name);
            rect.setAttribute("x", part.x);
            rect.setAttribute("width", part.width);
        }
        widget.querySelector(".tasktree-widget-text").textContent = progress.text;
        const state = widget.querySelector(".tasktree-widget-state");
        // Only what changes is read out.
        if (state.textContent !== answer.state_label) {
            state.textContent = answer.state_label;
        }
        widget.dispatchEvent(new CustomEvent("tasktree:progress", { bubbles: true, detail: answer }));
        if (answer.is_over) {
            widget.dispatchEvent(new CustomEvent("tasktree:ended", { bubbles: true, detail: answer }));
            if (widget.dataset.tasktreeReload) {
                location.reload();
            }
        }
        return !answer.is_over;
    }

    for (const widget of document.querySelectorAll("[data-tasktree-status]:not([data-tasktree-live])")) {
        // A page with two widgets has this script twice.
        widget.dataset.tasktreeLive = "1";
        if (!widget.dataset.tasktreeOver) {
            window.tasktreePoll(
                () => widget.dataset.tasktreeStatus,
                (answer) => show(widget, answer)
            );
        }
    }
})();
