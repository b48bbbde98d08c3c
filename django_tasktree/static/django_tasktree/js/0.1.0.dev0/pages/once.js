/* Submit POST forms once, even if the button is pressed several times. */

const sent = new WeakSet();

function setDisabled(form, disabled) {
    for (const button of form.querySelectorAll("[type=submit]")) {
        button.disabled = disabled;
    }
}

document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || !form.closest("#content-main")) {
        return;
    }
    if (sent.has(form)) {
        event.preventDefault();
    } else if (!event.defaultPrevented) {
        sent.add(form);
        // Disable the button only after the form is submitted: the name of a disabled button is not sent.
        setTimeout(() => setDisabled(form, true));
    }
});

// Users who come back to the page may submit the form again.
window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("#content-main form")) {
        sent.delete(form);
        setDisabled(form, false);
    }
});
