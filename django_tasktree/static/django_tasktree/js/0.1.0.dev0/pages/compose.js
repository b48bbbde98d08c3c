/* Add and remove nodes of a draft, and offer the names of all nodes as parents. */

const form = document.getElementById("compose_form");
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

function removeButton() {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "tasktree-more";
    button.textContent = form.dataset.remove;
    return button;
}

/** Replace the checkbox that deletes a node by a button. */
function makeRemovable(node) {
    const box = node.querySelector("[name$=-DELETE]");
    const button = removeButton();
    button.addEventListener("click", () => {
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

function freshNode(number) {
    const holder = document.createElement("template");
    holder.innerHTML = empty.innerHTML.replaceAll("__prefix__", number);
    return holder.content.querySelector("fieldset");
}

add.addEventListener("click", () => {
    const number = Number(total.value);
    const node = freshNode(number);
    total.value = number + 1;
    makeRemovable(node);
    nodes.append(node);
    node.querySelector("[name$=-name]").focus();
    add.hidden = number + 1 >= most;
});
form.addEventListener("input", offerNames);
Array.from(nodes.children).forEach(makeRemovable);
offerNames();
add.hidden = false;
