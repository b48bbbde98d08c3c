/* Nodes of a draft come and go; each is offered as the parent of the others. */
"use strict";

(function () {
    const form = document.getElementById("compose_form");
    if (!form) {
        return;
    }
    const nodes = document.getElementById("tasktree-nodes");
    const total = form.querySelector("[name=nodes-TOTAL_FORMS]");
    const most = Number(form.querySelector("[name=nodes-MAX_NUM_FORMS]").value);
    const add = document.getElementById("tasktree-add-node");
    const names = document.getElementById("tasktree-names");
    const empty = document.getElementById("tasktree-empty-node");

    function offerNames() {
        const found = Array.from(nodes.querySelectorAll("[name$=-name]"))
            .filter((input) => input.value && !input.closest("fieldset").hidden)
            .map((input) => new Option(input.value, input.value));
        names.replaceChildren(...found);
    }

    /** The box that says that the node is to go becomes a button. */
    function removable(node) {
        const box = node.querySelector("[name$=-DELETE]");
        const button = document.createElement("button");
        button.type = "button";
        button.className = "tasktree-more";
        button.textContent = form.dataset.remove;
        button.addEventListener("click", function () {
            box.checked = true;
            node.hidden = true;
            offerNames();
            add.focus();
        });
        box.hidden = true;
        node.querySelector(".tasktree-node-DELETE label").hidden = true;
        box.after(button);
        node.hidden = box.checked;
    }

    add.addEventListener("click", function () {
        const number = Number(total.value);
        const holder = document.createElement("template");
        holder.innerHTML = empty.innerHTML.replaceAll("__prefix__", number);
        const node = holder.content.querySelector("fieldset");
        total.value = number + 1;
        removable(node);
        nodes.append(node);
        node.querySelector("[name$=-name]").focus();
        add.hidden = number + 1 >= most;
    });
    form.addEventListener("input", offerNames);
    Array.from(nodes.children).forEach(removable);
    offerNames();
    add.hidden = false;
})();
